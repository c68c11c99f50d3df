"""Training in float16: close to float32, and a step that overflows changes no weight."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.command import TINY, call, last_result
from helpers.toy import BATCH, NO_DROPOUT, one_device, toy_step, two_cpus

from efficientnet_tf.config import DistributionConfig, UserError
from efficientnet_tf.train.loss_scale import LossScale
from efficientnet_tf.train.step import MEASURES

pytestmark = pytest.mark.slow
RNG = np.random.RandomState(0)
IMAGES = RNG.uniform(0, 255, [BATCH, 32, 32, 3]).astype("float32")
LABELS = np.eye(10, dtype="float32")[RNG.randint(0, 10, BATCH)]


@pytest.fixture
def float16():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy(policy)


def scaled_step(strategy):
    step = toy_step(strategy, **NO_DROPOUT)
    with strategy.scope():
        return dataclasses.replace(step, loss_scale=LossScale(step.optimizer))


def runner(strategy, step):
    """A function that takes a step and returns its measures."""
    share = BATCH // strategy.num_replicas_in_sync

    def batch(context):
        first = context.replica_id_in_sync_group * share
        part = slice(first, first + share)
        return {"image": tf.constant(IMAGES[part]), "label": tf.constant(LABELS[part])}

    parts = strategy.experimental_distribute_values_from_function(batch)

    @tf.function
    def once():
        return strategy.reduce("SUM", strategy.run(step, args=(parts,)), axis=None)

    return lambda: dict(zip(MEASURES, once().numpy(), strict=True))


def weights(step):
    return [v.numpy() for v in step.model.trainable_variables]


def test_losses_and_gradients_are_those_of_float32(float16):
    half = runner(one_device(), scaled_step(one_device()))()
    keras.config.set_dtype_policy("float32")
    whole = runner(one_device(), toy_step(one_device(), **NO_DROPOUT))()
    assert half["loss"] == pytest.approx(whole["loss"], rel=1e-2)
    assert half["gradient_norm"] == pytest.approx(whole["gradient_norm"], rel=5e-2)


@pytest.mark.parametrize("strategy", [one_device, two_cpus])
def test_a_step_that_overflows_changes_no_weight_and_halves_the_scale(float16, strategy):
    strategy = strategy()
    step = scaled_step(strategy)
    run = runner(strategy, step)
    run()
    before, scale = weights(step), float(step.loss_scale.value)
    step.loss_scale._scale.assign(2.0**40)
    measures = run()
    assert measures["gradient_norm"] == 0.0 and np.isfinite(measures["loss"])
    for one, other in zip(before, weights(step), strict=True):
        np.testing.assert_array_equal(one, other)
    assert scale == 2.0**15 and float(step.loss_scale.value) == 2.0**39
    assert step.optimizer.iterations.numpy() == 2  # the data go on
    step.loss_scale._scale.assign(scale)
    run()
    assert any((one != other).any() for one, other in zip(before, weights(step), strict=True))


def test_the_scale_doubles_after_many_good_steps():
    optimizer = keras.optimizers.SGD()
    optimizer.build([keras.Variable(1.0)])
    scale = LossScale(optimizer)
    for _ in range(1999):
        scale.update(tf.constant(True))
    assert float(scale.value) == 2.0**15
    scale.update(tf.constant(True))
    assert float(scale.value) == 2.0**16
    scale.update(tf.constant(False))
    assert float(scale.value) == 2.0**15


def test_a_run_continues_with_its_scale(tmp_path):
    """As the run that was not interrupted."""
    flags = [*TINY, "--use_float16", "--num_eval_images=56"]
    whole, parts = (f"--model_dir={tmp_path / name}" for name in ("whole", "parts"))
    result = call(*flags, whole, "--train_steps=4")
    assert result.returncode == 0 and " in float16" in result.stdout, result.stderr
    for steps in (2, 4):
        again = call(*flags, parts, f"--train_steps={steps}")
        assert again.returncode == 0, again.stderr
    assert last_result(again)["loss"] == last_result(result)["loss"]
    names = [name for name, _ in tf.train.list_variables(str(tmp_path / "parts" / "ckpt-4"))]
    assert any("loss_scale" in name for name in names)


def test_what_cannot_be_together_is_one_line():
    with pytest.raises(UserError, match="--use_float16 and --use_bfloat16 are both given"):
        DistributionConfig(use_float16=True, use_bfloat16=True)
    with pytest.raises(UserError, match="--use_float16 is for GPUs"):
        DistributionConfig(use_float16=True, tpu="local")
