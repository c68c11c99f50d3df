"""The command line: in a process of its own as a user has it, or, much faster, in this one."""

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

from absl import flags as absl_flags

from efficientnet_tf.config import UserError
from efficientnet_tf.run import flags, modes
from helpers.toy import TINY_BLOCKS

ROOT = Path(__file__).parents[2]
# B0's first three stages at a quarter of the width, a block each: what takes time is tracing.
TINY = [
    "--model_name=efficientnet-b0",
    f"--blocks_args={TINY_BLOCKS}",
    "--width_coefficient=0.25",
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


def two_processes(arguments, environments):
    """Runs the command in two processes at once; their results."""
    processes = [
        subprocess.Popen(
            command(*arguments, *more),
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for more, environment in environments
    ]
    try:
        outputs = [process.communicate(timeout=300) for process in processes]
    finally:
        for process in processes:  # one that waits for the other does not end by itself
            process.kill()
    return [
        subprocess.CompletedProcess(process.args, process.returncode, *output)
        for process, output in zip(processes, outputs, strict=True)
    ]


def call(*arguments):
    """`main` without a process: flags, modes and errors are the command's, start-up is not."""
    values, out, err = absl_flags.FlagValues(), io.StringIO(), io.StringIO()
    flags.define_flags(values)
    status = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            words = flags.parse([*map(str, arguments)], values)
            modes.execute(flags.run_config(words, values))
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            status = 1
    return subprocess.CompletedProcess(arguments, status, out.getvalue(), err.getvalue())


def last_result(process):
    """The numbers of the JSON object that ends the output."""
    result = json.loads(process.stdout.splitlines()[-1])
    assert result.pop("weights") == "ema"
    return result
