"""The trainer pauses, stops and saves where it says, and is silent if asked."""

import os
import signal

import pytest
import tensorflow as tf
from helpers.toy import one_device, toy_loop, toy_step

from efficientnet_tf.config import TrainConfig
from efficientnet_tf.train.checkpoint import CheckpointSaver
from efficientnet_tf.train.curves import TrainingCurves
from efficientnet_tf.train.evaluator import Evaluator
from efficientnet_tf.train.summaries import Summaries
from efficientnet_tf.train.trainer import Interrupted, Trainer
from efficientnet_tf.weights.formats.run_checkpoint import list_checkpoints

pytestmark = pytest.mark.slow

CONFIG = TrainConfig(train_steps=5, steps_per_eval=2, iterations_per_loop=1)


def build(directory, loop=None, **kwargs):
    loop = loop or toy_loop(one_device(), toy_step(one_device()))
    step = loop.train_step
    saver = CheckpointSaver(str(directory), step.model, step.optimizer, step.ema, max_to_keep=5)
    curves = TrainingCurves(Summaries(str(directory)), 10, lambda _: 0.0, step.ema.decay_after)
    return Trainer(loop, CONFIG, saver, curves, **kwargs)


def saved_steps(directory):
    return [int(prefix.rsplit("-", 1)[1]) for prefix in list_checkpoints(str(directory))]


def test_trainer_pauses_for_evaluations_saves_and_can_be_silent(tmp_path, capsys):
    assert list(build(tmp_path, verbose=False).segments()) == [2, 4, 5]
    assert saved_steps(tmp_path) == [5, 4, 2]
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_evaluation_can_be_silent(capsys):
    batch = {"image": tf.fill([16, 32, 32, 3], 9.0), "label": tf.zeros([16], tf.int32)}
    model, dataset = toy_step(one_device()).model, tf.data.Dataset.from_tensors(batch)
    Evaluator(one_device(), model, dataset, 16, 16).evaluate()
    assert "evaluation image 16/16" in capsys.readouterr().out
    Evaluator(one_device(), model, dataset, 16, 16, verbose=False).evaluate()
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_a_signal_stops_after_the_call_in_progress_and_saves(tmp_path):
    loop = toy_loop(one_device(), toy_step(one_device()))
    run, before = loop.run, signal.getsignal(signal.SIGTERM)

    def interrupted_run(steps):
        if loop.train_step.optimizer.iterations.numpy() == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return run(steps)

    loop.run = interrupted_run
    trainer = build(tmp_path, loop, verbose=False)
    with pytest.raises(Interrupted, match="stopped at step 3, saved"):
        list(trainer.segments())
    assert saved_steps(tmp_path) == [3, 2]
    assert signal.getsignal(signal.SIGTERM) is before
