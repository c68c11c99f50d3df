"""Blocks computed again in the backward pass: the same update, with less kept in between."""

import dataclasses
import re

import numpy as np
import pytest
import tensorflow as tf
from helpers.builds import needs_xla_on_the_cpu
from helpers.toy import NO_DROPOUT, one_device, toy_loop, toy_step, two_cpus

from efficientnet_tf.arch.variants import VARIANTS
from efficientnet_tf.config import TrainConfig, UserError

pytestmark = pytest.mark.slow
FAMILIES = ["efficientnet-b0", "efficientnet-condconv-b0-4e", "efficientnetv2-s"]


def toy(strategy, batch_norm_replicas=1, overrides=None, **config):
    """`toy_step` with fields of its `TrainConfig`."""
    step = toy_step(strategy, batch_norm_replicas, **overrides or {})
    return dataclasses.replace(step, config=dataclasses.replace(step.config, **config))


def step_and_batch(overrides=None, **config):
    step = toy(one_device(), overrides=overrides, **config)
    batch = {
        "image": tf.random.stateless_uniform([16, 32, 32, 3], [1, 2], 0, 255),
        "label": tf.one_hot(tf.range(16) % 10, 10),
    }
    return step, batch


def state(step):
    weights = [w.numpy() for w in step.model.weights]
    slots = [v.numpy() for v in step.optimizer.variables]
    return weights + slots + [s.numpy() for s in step.ema.shadows]


@pytest.mark.parametrize(("family", "parts"), [*((f, 1) for f in FAMILIES), (FAMILIES[0], 2)])
def test_the_update_is_the_same(family, parts):
    """Weights, statistics, slots and averages after two steps with dropout and stochastic depth."""
    overrides = {"blocks": VARIANTS[family].blocks[:3], "survival_prob": 0.5, "dropout_rate": 0.5}
    states = []
    for remat in ("none", "blocks"):
        step, batch = step_and_batch(overrides, remat=remat, grad_accum_steps=parts)
        run = tf.function(step)
        measures = [run(batch).numpy() for _ in range(2)]
        states.append([*measures, *state(step)])
    for plain, again in zip(*states, strict=True):
        np.testing.assert_allclose(again, plain, rtol=1e-5, atol=1e-7)


def test_two_replicas_with_common_statistics_take_the_same_update():
    losses = []
    for remat in ("none", "blocks"):
        step = toy(two_cpus(), batch_norm_replicas=2, remat=remat)
        losses.append([row["loss"] for row in toy_loop(two_cpus(), step).run(3)])
    np.testing.assert_allclose(*losses, rtol=1e-5)


def convolutions(remat):
    """Forward convolutions of the graph of a step."""
    step, batch = step_and_batch(remat=remat)
    graph = tf.function(step).get_concrete_function(batch).graph.as_graph_def()
    nodes = [*graph.node, *(n for f in graph.library.function for n in f.node_def)]
    return sum(bool(re.fullmatch("Conv2D|DepthwiseConv2dNative", node.op)) for node in nodes)


def test_the_inside_of_blocks_is_computed_twice():
    plain, again = convolutions("none"), convolutions("blocks")
    assert again == plain + (plain - 2)  # the stem and the head are not blocks


@needs_xla_on_the_cpu
def test_a_compiled_step_is_the_same():
    results = []
    for remat in ("none", "blocks"):
        step, batch = step_and_batch(NO_DROPOUT, remat=remat)
        results.append([tf.function(step, jit_compile=True)(batch).numpy(), *state(step)])
    for plain, again in zip(*results, strict=True):
        np.testing.assert_allclose(again, plain, rtol=2e-4, atol=2e-5)


def test_an_unknown_word_is_one_line():
    with pytest.raises(UserError, match="unknown remat 'block'; did you mean blocks"):
        TrainConfig(remat="block")
