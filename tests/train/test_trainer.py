"""The trainer pauses, stops and saves where it says, and is silent if asked."""

import os
import signal

import pytest
import tensorflow as tf
from helpers.toy import one_device, toy_loop, toy_step

from efficientnet_tf.config import TrainConfig, UserError
from efficientnet_tf.train.checkpoint import CheckpointSaver, Keeping
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
    saver = CheckpointSaver(str(directory), step.model, step.optimizer, step.ema, Keeping(5))
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


@pytest.mark.fault(
    "Killed and stopped",
    "SIGTERM or SIGINT",
    "stops after the steps in progress, saved",
)
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


def diverging(directory, step_of_ruin, ruin):
    """A run whose weights are ruined by the update of a step, though its loss was finite."""
    loop = toy_loop(one_device(), toy_step(one_device()))
    run = loop.run

    def ruining_run(steps):
        rows = run(steps)
        if loop.train_step.optimizer.iterations.numpy() == step_of_ruin:
            ruin(loop.train_step)
        return rows

    loop.run = ruining_run
    return build(directory, loop, verbose=False)


def ruin_a_weight(step):
    kernel = step.model.trainable_variables[0]
    kernel.assign(kernel.numpy() * float("nan"))


def ruin_an_average(step):
    step.ema.shadows[-1].assign(step.ema.shadows[-1] + float("inf"))


def ruin_a_slot(step):
    slot = step.optimizer.variables[-1]
    slot.assign(slot.numpy() * float("nan"))


@pytest.mark.parametrize("ruin", [ruin_a_weight, ruin_an_average, ruin_a_slot])
@pytest.mark.fault(
    "Divergence",
    "a weight, average or optimizer slot is NaN or infinite",
    "not saved; the run ends and names step and rate",
)
def test_a_ruined_state_is_not_saved(tmp_path, ruin):
    trainer = diverging(tmp_path, 4, ruin)
    message = r"not finite in step 4, at a rate of 0; lower .*checkpoint of step 2 is untouched"
    with pytest.raises(UserError, match=message):
        list(trainer.segments())
    assert saved_steps(tmp_path) == [2]


def test_before_the_first_checkpoint_none_is_promised(tmp_path):
    trainer = diverging(tmp_path, 1, ruin_a_weight)
    with pytest.raises(UserError, match="the loss is not finite in step 2, .*learning_rate$"):
        list(trainer.segments())
    assert saved_steps(tmp_path) == []


@pytest.mark.fault(
    "Files of a run",
    "a checkpoint that holds NaN",
    "passed over, said; the one before is taken",
)
def test_a_ruined_checkpoint_is_not_gone_on_from(tmp_path, capsys):
    """As versions before this one saved them."""
    trainer = build(tmp_path, verbose=False)
    list(trainer.segments())
    ruin_a_weight(trainer.loop.train_step)
    trainer.saver.save(5)
    assert build(tmp_path).saver.restore_latest() == 4
    assert "ckpt-5 is of no use, as model/" in capsys.readouterr().out
