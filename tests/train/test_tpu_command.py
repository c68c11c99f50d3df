"""`--use_tpu` on one made-up core, run on the CPU: the command in processes of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.command import TINY, last_result, main

pytestmark = pytest.mark.slow


def on_a_tpu(*arguments):
    script = Path(__file__).parents[1] / "helpers" / "fake_tpu.py"
    command = [sys.executable, str(script), "--use_tpu", *map(str, arguments)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)


def test_a_run_on_one_core_is_that_of_the_cpu(tmp_path):
    """Trained, saved, continued by another process, evaluated: the CPU's numbers."""
    flags = [*TINY, "--nouse_bfloat16", "--num_eval_images=56"]
    tpu, cpu = (f"--model_dir={tmp_path / name}" for name in ("tpu", "cpu"))
    for steps in (2, 4):
        result = on_a_tpu(*flags, tpu, f"--train_steps={steps}")
        assert result.returncode == 0, result.stderr
        assert last_result(result)["step"] == steps
    assert main(*flags, cpu, "--train_steps=4").returncode == 0
    expected, found = (
        [json.loads(line) for line in (tmp_path / name / "eval.jsonl").read_text().splitlines()]
        for name in ("cpu", "tpu")
    )
    for one, other in zip(expected, found, strict=True):
        for number in ("step", "num_images", "top_1_accuracy", "loss"):
            assert one[number] == pytest.approx(other[number], rel=1e-5), number
    evaluated = on_a_tpu("--mode=eval", tpu, *flags)
    assert last_result(evaluated)["loss"] == pytest.approx(expected[-1]["loss"], rel=1e-5)


def test_a_run_on_one_core_computes_in_bfloat16(tmp_path):
    result = on_a_tpu(*TINY, "--train_steps=2", f"--model_dir={tmp_path}", "--num_eval_images=56")
    assert result.returncode == 0, result.stderr
    assert last_result(result)["step"] == 2
    assert "on 1 replica (TPUStrategy) in bfloat16" in result.stdout, result.stdout
