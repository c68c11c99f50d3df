"""The command line as a user has it: in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TINY = [
    "--model_name=efficientnet-b0",
    "--width_coefficient=0.25",
    "--depth_coefficient=0.1",
    "--dataset=digits",
    "--input_image_size=32",
    "--train_batch_size=16",
    "--eval_batch_size=56",
    "--iterations_per_loop=2",
    "--log_step_count_steps=1",
    "--steps_per_eval=2",
    "--min_crop_area=0.6",
]


def command(*arguments):
    return [sys.executable, str(ROOT / "main.py"), *map(str, arguments)]


def main(*arguments, **kwargs):
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, env=environment, timeout=300, **kwargs
    )


def last_result(process):
    """The numbers of the JSON object that ends the output."""
    result = json.loads(process.stdout.splitlines()[-1])
    assert result.pop("weights") == "ema"
    return result
