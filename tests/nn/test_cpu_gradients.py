"""What a training step computes in its own way on a CPU is what TensorFlow computes."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from helpers.builds import needs_xla_on_the_cpu
from helpers.toy import (
    NO_DROPOUT,
    TINY_BLOCKS,
    one_device,
    tiny_run,
    toy_step,
    two_cpus,
)

from efficientnet_tf.arch import block_string
from efficientnet_tf.data import xla_works
from efficientnet_tf.nn import cpu_gradients
from efficientnet_tf.run.session import open_session
from efficientnet_tf.run.steps import build_step
from efficientnet_tf.train.schedule import build_schedule

pytestmark = pytest.mark.slow

X = np.concatenate([np.linspace(-30, 30, 997), [0.0, -0.0, 1e-6]]).astype("float64")
FIVE_BY_FIVE = {"blocks": block_string.parse_all(TINY_BLOCKS)}


def value_and_gradients(function, *inputs):
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        y = function(*inputs)
    upstream = tf.cast(np.random.default_rng(0).normal(size=y.shape), y.dtype)
    gradients = tape.gradient(y, inputs, output_gradients=upstream)
    return [tf.cast(value, tf.float64).numpy() for value in (y, *gradients)]


@needs_xla_on_the_cpu
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float32", 3e-6), ("float64", 1e-14), ("bfloat16", 2e-2)]
)
def test_swish(dtype, tolerance):
    x = tf.cast(X, dtype)
    found = (value_and_gradients(function, x) for function in (cpu_gradients.swish, tf.nn.silu))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("size", [3, 5, 7])
@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_depthwise_convolution(size, strides, padding):
    draw = np.random.default_rng(0)
    kernel = tf.constant(draw.normal(size=(size, size, 8, 1)))
    smaller = [(1, 4), (2, 2), (3, 3)] if padding == "same" else []
    for height, width in (*smaller, (7, 7), (8, 8), (9, 12), (16, 7)):
        x = tf.constant(draw.normal(size=(2, height, width, 8)))
        ours = value_and_gradients(
            lambda *inputs: cpu_gradients.depthwise_conv(*inputs, strides, padding), x, kernel
        )
        theirs = value_and_gradients(
            lambda *inputs: tf.nn.depthwise_conv2d(
                *inputs, [1, strides, strides, 1], padding.upper()
            ),
            *(x, kernel),
        )
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("strategy", [one_device, two_cpus])
@pytest.mark.parametrize(
    ("way", "network"),
    [
        pytest.param("compiled_swish", {}, marks=needs_xla_on_the_cpu),
        ("cpu_gradients", FIVE_BY_FIVE),
        ("cpu_gradients", {"padding": "symmetric", **FIVE_BY_FIVE}),
    ],
)
def test_a_step_with_it_is_the_step_without(strategy, way, network):
    draw = np.random.default_rng(0)
    images = draw.uniform(0, 255, (8, 32, 32, 3)).astype("float32")
    batch = {"image": tf.constant(images), "label": tf.one_hot(draw.integers(0, 10, 8), 10)}
    results = []
    for asked in (False, True):
        plain = toy_step(strategy(), **NO_DROPOUT, **network)
        step = dataclasses.replace(plain, **{way: asked})
        before = [v.numpy() for v in plain.model.trainable_variables]
        run = tf.function(lambda step=step: strategy().run(step, args=(batch,)), autograph=False)
        run()
        after = [v.numpy() for v in plain.model.trainable_variables]
        results.append([a - b for a, b in zip(after, before, strict=True)])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5 * np.abs(one).max() + 1e-9)


@pytest.mark.parametrize(("size", "expected"), [(32, False), (128, True)])
def test_runs_with_large_steps_have_both(size, expected, tmp_path):
    config = tiny_run(tmp_path, train_steps=2)
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, image_size=size))
    session = open_session(config, training=True, verbose=False)
    step, _, _ = build_step(session, build_schedule(session.config.optimizer, 16, 10, 10))
    assert step.cpu_gradients is expected
    assert step.compiled_swish is (expected and xla_works())
