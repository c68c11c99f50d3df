"""When the profiler begins and ends, call by call."""

import contextlib

import pytest
import tensorflow as tf

from efficientnet_tf.train.step_profiler import StepProfiler


@pytest.fixture
def recorded(monkeypatch):
    """What TensorFlow's profiler was asked for."""
    asked = []
    monkeypatch.setattr(tf.profiler.experimental, "start", lambda folder: asked.append(folder))
    monkeypatch.setattr(tf.profiler.experimental, "stop", lambda: asked.append("stop"))
    return asked


def run(profiler, recorded, total, call, done=0):
    """Trains in calls of `call` steps where the profiler does not cut them; the calls' ends."""
    ends = []
    while done < total:
        count = profiler.cut(done, min(call, total - done))
        with profiler.around(done, count):
            done += count
            recorded.append(range(done - count + 1, done + 1))
        ends.append(done)
    return ends


@pytest.mark.parametrize("call, ends", [(7, [7, 9, 16, 20, 27, 30]), (100, [9, 20, 30])])
def test_exactly_the_wanted_steps_are_recorded(recorded, call, ends):
    assert run(StepProfiler(range(10, 21), "runs"), recorded, 30, call) == ends
    begin, end = recorded.index("runs"), recorded.index("stop")
    steps = [step for calls in recorded[begin + 1 : end] for step in calls]
    assert steps == list(range(10, 21))
    assert recorded.count("runs") == recorded.count("stop") == 1


def test_steps_done_before_are_left_out(recorded):
    assert run(StepProfiler(range(10, 21), "runs"), recorded, 30, 7, done=14) == [20, 27, 30]
    assert recorded[0] == "runs" and recorded[2] == "stop"
    recorded.clear()
    assert run(StepProfiler(range(10, 21), "runs"), recorded, 40, 7, done=25) == [32, 39, 40]
    assert "runs" not in recorded


def test_the_first_and_the_last_step(recorded):
    assert run(StepProfiler(range(1, 2), "runs"), recorded, 3, 3) == [1, 3]
    assert recorded == ["runs", range(1, 2), "stop", range(2, 4)]


def test_without_steps_nothing_is_cut(recorded):
    assert run(StepProfiler(), recorded, 30, 7) == [7, 14, 21, 28, 30]
    assert "stop" not in recorded


def test_a_run_that_ends_amid_writes_what_it_has(recorded):
    profiler = StepProfiler(range(10, 21), "runs")
    with contextlib.closing(profiler):
        run(profiler, recorded, 15, 7)
    assert recorded[-1] == "stop"
