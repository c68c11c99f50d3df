"""The swish that a training step uses on a CPU is TensorFlow's, and so is its gradient."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from helpers.builds import needs_xla_on_the_cpu
from helpers.toy import NO_DROPOUT, one_device, tiny_run, toy_step, two_cpus

from efficientnet_tf.nn import tensorflow_ops
from efficientnet_tf.run.session import open_session
from efficientnet_tf.run.steps import build_step
from efficientnet_tf.train.schedule import build_schedule

pytestmark = [pytest.mark.slow, needs_xla_on_the_cpu]

X = np.concatenate([np.linspace(-30, 30, 997), [0.0, -0.0, 1e-6]]).astype("float64")


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float32", 3e-6), ("float64", 1e-14), ("bfloat16", 2e-2)]
)
def test_value_and_gradient(dtype, tolerance):
    x = tf.cast(X, dtype)
    upstream = tf.cast(np.random.default_rng(0).normal(size=X.shape), dtype)
    found = {}
    for name, function in (("ours", tensorflow_ops.swish), ("tf", tf.nn.silu)):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        gradient = tape.gradient(y, x, output_gradients=upstream)
        found[name] = [tf.cast(value, tf.float64).numpy() for value in (y, gradient)]
    for ours, theirs in zip(found["ours"], found["tf"], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("strategy", [one_device, two_cpus])
def test_a_step_with_it_is_the_step_without(strategy):
    draw = np.random.default_rng(0)
    images = draw.uniform(0, 255, (8, 32, 32, 3)).astype("float32")
    batch = {"image": tf.constant(images), "label": tf.one_hot(draw.integers(0, 10, 8), 10)}
    results = []
    for compiled in (False, True):
        plain = toy_step(strategy(), **NO_DROPOUT)
        step = dataclasses.replace(plain, compiled_swish=compiled)
        before = [v.numpy() for v in plain.model.trainable_variables]
        run = tf.function(lambda step=step: strategy().run(step, args=(batch,)), autograph=False)
        run()
        after = [v.numpy() for v in plain.model.trainable_variables]
        results.append([a - b for a, b in zip(after, before, strict=True)])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5 * np.abs(one).max() + 1e-9)


@pytest.mark.parametrize(("size", "expected"), [(32, False), (128, True)])
def test_runs_with_large_steps_have_it(size, expected, tmp_path):
    config = tiny_run(tmp_path, train_steps=2)
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, image_size=size))
    session = open_session(config, training=True, verbose=False)
    step, _, _ = build_step(session, build_schedule(session.config.optimizer, 16, 10, 10))
    assert step.compiled_swish is expected
