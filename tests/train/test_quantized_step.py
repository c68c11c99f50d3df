"""Ranges of fake quantisation in the training step: computed twice, and on several replicas."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from helpers.toy import NO_DROPOUT, one_device, toy_step, two_cpus

from efficientnet_tf.arch.variants import VARIANTS
from efficientnet_tf.train.loop import DeviceLoop

pytestmark = pytest.mark.slow

BATCH = {
    "image": tf.random.stateless_uniform([16, 32, 32, 3], [1, 2], 0, 255),
    "label": tf.one_hot(tf.range(16) % 10, 10),
}


def quantized_step(strategy, **config):
    blocks = VARIANTS["efficientnet-b0"].blocks[:1]
    step = toy_step(strategy, quantize_aware=True, blocks=blocks, **NO_DROPOUT)
    return dataclasses.replace(step, config=dataclasses.replace(step.config, **config))


def ranges(model):
    return {v.path: v for v in model.weights if "moving_m" in v.path}


def test_blocks_that_are_computed_again_move_their_ranges_once():
    states = []
    for remat in ("none", "blocks"):
        step = quantized_step(one_device(), remat=remat)
        run = tf.function(step)
        for _ in range(3):  # the first sets the ranges, the others move them
            run(BATCH)
        assert ranges(step.model)
        averages = [shadow.numpy() for shadow in step.ema.shadows]
        states.append([*(w.numpy() for w in step.model.weights), *averages])
    for plain, again in zip(*states, strict=True):
        np.testing.assert_allclose(again, plain, rtol=1e-5, atol=1e-6)


def test_two_replicas_have_the_mean_of_their_ranges():
    halves = []
    for half in (slice(8), slice(8, None)):
        step = quantized_step(one_device())
        tf.function(step)({name: values[half] for name, values in BATCH.items()})
        halves.append({path: v.numpy() for path, v in ranges(step.model).items()})
    strategy = two_cpus()
    step = quantized_step(strategy)
    data = strategy.experimental_distribute_dataset(tf.data.Dataset.from_tensors(BATCH).repeat())
    DeviceLoop(strategy, step, data, max_steps=1, log_every=1).run(1)
    for path, variable in ranges(step.model).items():
        of_replicas = [v.numpy() for v in strategy.experimental_local_results(variable.value)]
        assert len(of_replicas) == 2 and of_replicas[0] == of_replicas[1]
        expected = (halves[0][path] + halves[1][path]) / 2
        np.testing.assert_allclose(of_replicas[0], expected, rtol=1e-4, atol=1e-6, err_msg=path)
