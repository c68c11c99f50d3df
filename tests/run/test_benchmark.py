"""`--mode=benchmark`: what it measures, and what it does with a batch that does not fit."""

import json

import pytest
import tensorflow as tf
from helpers.command import TINY, call

from efficientnet_tf.run.modes import benchmark

pytestmark = pytest.mark.slow

MODE = (*TINY, "--mode=benchmark")


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(benchmark, "_SECONDS", 0.1)


def test_all_parts_are_measured_and_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = call(*MODE, "--benchmark=train,inference,input")
    assert result.returncode == 0, result.stderr
    *lines, last = result.stdout.splitlines()
    found = json.loads(last)
    assert [line.split()[0] for line in lines[:3]] == ["train", "inference", "input"]
    assert [found[part]["batch"] for part in ("train", "inference", "input")] == [16, 56, 16]
    for part in ("train", "inference", "input"):
        numbers = found[part]
        assert 0 < numbers["slowest"] <= numbers["images_per_second"] <= numbers["fastest"]
        assert numbers["processor_ms_per_image"] > 0
    assert found["peak_memory_gib"] > 0.1
    ratio = found["input"]["images_per_second"] / found["train"]["images_per_second"]
    assert ("the step is" if ratio >= 1 else "the input pipeline is") in lines[3]
    assert not list(tmp_path.iterdir())


def test_a_batch_that_does_not_fit_is_halved(monkeypatch):
    tried = []

    def measure(session):
        tried.append(session.config.data.train_batch_size)
        if len(tried) < 3:
            raise tf.errors.ResourceExhaustedError(None, None, "OOM")
        return benchmark.measure_pace(lambda: None, tried[-1], 0.0)

    monkeypatch.setattr(benchmark, "_train_pace", measure)
    result = call(*MODE, "--benchmark=train")
    assert result.returncode == 0, result.stderr
    assert tried == [16, 8, 4]
    assert "a batch of 16 does not fit; the largest half of it that does is 4" in result.stdout


def test_nothing_fits(monkeypatch):
    monkeypatch.setattr(benchmark, "_fits", lambda session: False)
    result = call(*MODE, "--benchmark=inference")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("error: not even the smallest batch fits; a smaller --input")


def test_input_needs_data():
    flags = [flag for flag in MODE if not flag.startswith("--dataset")]
    result = call(*flags, "--benchmark=input")
    assert result.returncode == 1
    assert result.stderr.startswith("error: --benchmark=input reads data: name them with --dataset")


def test_a_broken_picture_is_one_line(tmp_path):
    for name in ("ant/0.png", "bee/1.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(b"\x89PNG\r\n\x1a\n no picture")
    flags = [flag for flag in MODE if not flag.startswith("--dataset")]
    flags += [f"--data_dir={tmp_path}", "--dataset=folder", "--train_batch_size=1"]
    result = call(*flags, "--benchmark=input")
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert result.stderr.startswith(f"error: {tmp_path}/")
