"""What becomes of the gradients: summed over parts, clipped, scaled layer by layer."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.builds import needs_xla_on_the_cpu
from helpers.toy import BATCH, NO_DROPOUT, one_device, toy_config, toy_step, two_cpus

from efficientnet_tf.arch.scaling import stage_sizes
from efficientnet_tf.nn.freezing import freeze_batch_norm
from efficientnet_tf.train.layer_decay import rate_factors
from efficientnet_tf.train.step import MEASURES

pytestmark = pytest.mark.slow

RNG = np.random.RandomState(0)
IMAGES = RNG.uniform(0, 255, [BATCH, 32, 32, 3]).astype("float32")
LABELS = np.eye(10, dtype="float32")[RNG.randint(0, 10, BATCH)]


def one_step(strategy=None, frozen_statistics=True, accumulate=1, dropout=None, **fields):
    """The measures of one step of plain SGD at rate 1, and how it moved the weights, by path."""
    strategy = strategy or one_device()
    step = toy_step(strategy, **(NO_DROPOUT if dropout is None else dropout))
    if frozen_statistics:
        freeze_batch_norm(step.model)
    config = dataclasses.replace(step.config, grad_accum_steps=accumulate)
    with strategy.scope():
        optimizer = keras.optimizers.SGD(1.0)
        optimizer.build(step.model.trainable_variables)
    step = dataclasses.replace(step, config=config, optimizer=optimizer, **fields)
    before = {v.path: v.numpy() for v in step.model.weights}
    batch = {"image": tf.constant(IMAGES), "label": tf.constant(LABELS)}
    half = BATCH // strategy.num_replicas_in_sync

    def share(context):
        first = context.replica_id_in_sync_group * half
        return {name: value[first : first + half] for name, value in batch.items()}

    distributed = strategy.experimental_distribute_values_from_function(share)

    @tf.function
    def run():
        return strategy.reduce("SUM", strategy.run(step, args=(distributed,)), axis=None)

    measures = dict(zip(MEASURES, run().numpy(), strict=True))
    return measures, {v.path: v.numpy() - before[v.path] for v in step.model.weights}


def assert_same(left, right):
    for a, b in zip(left, right, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_allclose(a[name], b[name], rtol=2e-4, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("strategy", [one_device, two_cpus])
def test_parts_of_a_batch_add_up_to_its_update(strategy):
    whole = one_step(strategy())
    assert_same(one_step(strategy(), accumulate=4), whole)
    assert max(np.abs(change).max() for change in whole[1].values()) > 0.01


def test_each_part_draws_its_own_masks_and_moves_the_statistics():
    once, often = (
        one_step(frozen_statistics=False, accumulate=parts, dropout={"survival_prob": 0.5})
        for parts in (1, 4)
    )
    assert once[0]["loss"] != pytest.approx(often[0]["loss"], rel=1e-4)
    mean = next(path for path in once[1] if path.endswith("moving_mean"))
    ratio = np.median(often[1][mean] / once[1][mean])
    assert ratio == pytest.approx(4, rel=0.1)  # four moves by 1% in place of one


def test_clipping_leaves_the_direction():
    whole, clipped = one_step(), one_step(clip_norm=0.05)
    norm = whole[0]["gradient_norm"]
    assert clipped[0]["gradient_norm"] == pytest.approx(norm, rel=1e-5) and norm > 0.1
    assert_same([one_step(clip_norm=2 * norm)[1]], [whole[1]])
    for path, change in whole[1].items():
        np.testing.assert_allclose(clipped[1][path], change * 0.05 / norm, rtol=1e-3, atol=1e-6)


def test_stages_learn_the_slower_the_deeper_they_are():
    model, stages = toy_step(one_device(), **NO_DROPOUT).model, stage_sizes(toy_config())
    assert stages == [1, 2]
    factors = rate_factors(model, stages, 0.5)
    expected = {"stem": 0.5**4, "blocks_0": 0.5**3, "blocks_1": 0.5**2, "blocks_2": 0.5**2}
    expected |= {"head": 0.5}
    for layer, factor in {**expected, "predictions": 1.0}.items():
        assert {f for path, f in factors.items() if path.split("/")[0] == layer} == {factor}, layer
    whole, scaled = one_step(), one_step(rate_factors=factors)
    for path, change in whole[1].items():
        np.testing.assert_allclose(scaled[1][path], change * factors[path], rtol=1e-3, atol=1e-6)


def test_moments_by_reductions_give_the_same_update():
    """As TPUs compute them; statistics and weights."""
    fused, plain = (
        one_step(frozen_statistics=False, plain_moments=plain) for plain in (False, True)
    )
    assert_same(fused, plain)


@needs_xla_on_the_cpu
@pytest.mark.parametrize("strategy", [one_device, two_cpus])
def test_a_compiled_step_is_the_same_on_every_replica(strategy):
    plain, compiled = (
        one_step(strategy(), frozen_statistics=False, compiled=compiled)
        for compiled in (False, True)
    )
    assert_same(plain, compiled)
