"""What a long job says of itself where there is no terminal."""

import time

import pytest

from efficientnet_tf.train import progress as module
from efficientnet_tf.train.progress import Progress


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only when the test says so."""
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(module, "_LINE_SECONDS", 0.0)
    return now


def test_the_pace_leaves_out_the_call_that_compiles(clock, capsys):
    progress = Progress("train", 40, images_per_unit=8)
    for seconds, step in ((60.0, 4), (62.0, 8), (78.0, 40)):
        clock[0] = seconds
        progress.update(step, loss=2.0)
    assert capsys.readouterr().out.splitlines() == [
        "train step 4/40 loss 2",
        "train step 8/40 loss 2 images/s 16 left 0m16s",
        "train step 40/40 loss 2 images/s 16",
    ]


def test_a_single_call_has_a_pace_all_the_same(clock, capsys):
    progress = Progress("evaluation", 30, unit="image")
    clock[0] = 2.0
    progress.update(30)
    assert capsys.readouterr().out == "evaluation image 30/30 images/s 15\n"


def test_units_that_hold_no_images_have_no_pace_in_images(clock, capsys):
    progress = Progress("latency", 4, "network", start=1, images_per_unit=None)
    for seconds, done in ((0.0, 1), (5.0, 2), (15.0, 4)):
        clock[0] = seconds
        progress.update(done)
    assert capsys.readouterr().out.splitlines() == [
        "latency network 1/4",
        "latency network 2/4 left 0m10s",
        "latency network 4/4",
    ]
