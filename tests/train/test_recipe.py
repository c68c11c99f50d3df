"""Update rules, schedules, average and objective against arithmetic written out in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from efficientnet_tf.config import OptimizerConfig, UserError
from efficientnet_tf.train import losses, optimizer
from efficientnet_tf.train.ema import ExponentialMovingAverage, ema_decay
from efficientnet_tf.train.optimizer import build_optimizer
from efficientnet_tf.train.schedule import build_schedule

RATES = [0.1, 0.05]


class Steps(keras.optimizers.schedules.LearningRateSchedule):
    """A rate that changes, which is where the momentum rules differ."""

    def __call__(self, step):
        return keras.ops.take(keras.ops.convert_to_tensor(RATES), step)


def optimize(config, start, gradients):
    variable = keras.Variable(start, name="kernel")
    optimizer = build_optimizer(config, Steps())
    for gradient in gradients:
        optimizer.apply([tf.constant(gradient)], [variable])
    return variable.numpy()


@pytest.fixture(params=["in one operation", "written out"])
def rules(request, monkeypatch):
    """TensorFlow has an operation for each rule; other backends compute it step by step."""
    if request.param == "written out":
        monkeypatch.setattr(optimizer, "_kernels", lambda: None)


START = np.array([1.0, -2.0], "float32")
GRADIENTS = np.array([[0.5, 1.0], [-1.0, 2.0]], "float32")


@pytest.mark.usefixtures("rules")
def test_rmsprop_starts_from_ones_with_epsilon_inside():
    w, ms, mom = START.copy(), np.ones(2), np.zeros(2)
    for rate, g in zip(RATES, GRADIENTS, strict=True):
        ms = 0.9 * ms + 0.1 * g * g
        mom = 0.9 * mom + rate * g / np.sqrt(ms + 1e-3)
        w = w - mom
    np.testing.assert_allclose(optimize(OptimizerConfig(), START, GRADIENTS), w, rtol=1e-6)


@pytest.mark.usefixtures("rules")
def test_momentum_scales_by_the_current_rate():
    w, acc = START.copy(), np.zeros(2)
    for rate, g in zip(RATES, GRADIENTS, strict=True):
        acc = 0.9 * acc + g
        w = w - rate * acc
    config = OptimizerConfig(optimizer="momentum")
    np.testing.assert_allclose(optimize(config, START, GRADIENTS), w, rtol=1e-6)


def test_sgd():
    w = START - RATES[0] * GRADIENTS[0] - RATES[1] * GRADIENTS[1]
    config = OptimizerConfig(optimizer="sgd")
    np.testing.assert_allclose(optimize(config, START, GRADIENTS), w, rtol=1e-6)


@pytest.mark.usefixtures("rules")
def test_lars_scales_by_the_trust_ratio():
    w, acc = START.copy(), np.zeros(2)
    for rate, g in zip(RATES, GRADIENTS, strict=True):
        norm = np.linalg.norm(w)
        trust = 1e-3 * norm / (np.linalg.norm(g) + 1e-5 * norm)
        acc = 0.9 * acc + rate * trust * (g + 1e-5 * w)
        w = w - acc
    config = OptimizerConfig(optimizer="lars")
    np.testing.assert_allclose(optimize(config, START, GRADIENTS), w, rtol=1e-6)


@pytest.mark.usefixtures("rules")
def test_adamw_is_that_of_keras_without_decay_of_biases_and_batch_norm():
    results = []
    for own in (True, False):
        variables = [
            keras.Variable(START, name=name) for name in ("kernel", "bias", "batch_normalization")
        ]
        adamw = keras.optimizers.AdamW(Steps(), weight_decay=0.3)
        adamw.exclude_from_weight_decay(var_list=variables[1:])
        if own:
            config = OptimizerConfig(optimizer="adamw", adamw_weight_decay=0.3)
            adamw = build_optimizer(config, Steps())
        for gradient in GRADIENTS:
            adamw.apply([tf.constant(gradient)] * 3, variables)
        results.append([variable.numpy() for variable in variables])
    np.testing.assert_allclose(results[0], results[1], rtol=1e-6)
    assert not np.allclose(results[0][0], results[0][1])


@pytest.mark.parametrize("name", ["rmsprop", "momentum", "lars", "adamw"])
def test_optimizers_survive_serialization(name):
    optimizer = build_optimizer(OptimizerConfig(optimizer=name, momentum=0.8), 0.1)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(again) is type(optimizer)
    assert again.get_config() == optimizer.get_config()


# 10 steps an epoch, warm-up of 20 steps, batch 512: rates are twice those of the configuration.


def schedule(name):
    config = OptimizerConfig(base_learning_rate=0.5, lr_schedule=name, lr_warmup_epochs=2)
    return build_schedule(config, batch_size=512, steps_per_epoch=10, total_steps=100)


@pytest.mark.parametrize(
    ("name", "step", "rate"),
    [
        ("exponential", 0, 0.0),
        ("exponential", 10, 0.5),
        ("exponential", 19, 0.95),
        ("exponential", 23, 1.0),  # the first stair, 2.4 epochs, is counted from step 0
        ("exponential", 24, 0.97),
        ("exponential", 47, 0.97),
        ("exponential", 48, 0.97**2),
        ("cosine", 10, 0.5),
        ("cosine", 50, 0.5),
        ("cosine", 100, 0.0),
        ("constant", 5, 0.25),
        ("constant", 99, 1.0),
        ("polynomial", 10, 0.5),
        ("polynomial", 20, 0.1 + 0.9 * (1 - 1 / 81) ** 2),
        ("polynomial", 101, 0.1),
    ],
)
def test_schedules_at_exact_steps(name, step, rate):
    assert float(schedule(name)(step)) == pytest.approx(rate, rel=1e-5, abs=1e-6)


def test_warm_up_may_be_a_share_of_the_run():
    config = OptimizerConfig(base_learning_rate=1.0, lr_schedule="constant", lr_warmup_share=0.1)
    rate = build_schedule(config, batch_size=256, steps_per_epoch=3.4, total_steps=60)
    assert [round(float(rate(step)), 4) for step in (0, 3, 6, 59)] == [0, 0.5, 1, 1]


def test_poly_is_the_originals_word_for_polynomial():
    for step in (10, 20, 50, 101):
        assert float(schedule("poly")(step)) == float(schedule("polynomial")(step))


@pytest.mark.parametrize("name", ["exponential", "cosine", "constant", "polynomial"])
def test_schedules_survive_serialization(name):
    from keras.optimizers import schedules

    original = schedule(name)
    again = schedules.deserialize(schedules.serialize(original))
    assert [float(again(s)) for s in (0, 15, 60)] == [float(original(s)) for s in (0, 15, 60)]


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(UserError, match="rmsprop"):
        build_optimizer(OptimizerConfig(optimizer="rmsprob"), 0.1)
    with pytest.raises(UserError, match="cosine"):
        schedule("cosin")


def test_ema_ramps_and_follows():
    assert float(ema_decay(0.9999, tf.constant(0))) == pytest.approx(0.1)
    assert float(ema_decay(0.9999, tf.constant(10**6))) == pytest.approx(0.9999)
    variable = keras.Variable([1.0, 2.0])
    ema = ExponentialMovingAverage([variable], 0.9999)
    variable.assign([3.0, 6.0])
    ema.update(tf.constant(1))
    decay = 2 / 11
    expected = decay * np.array([1.0, 2.0]) + (1 - decay) * np.array([3.0, 6.0])
    np.testing.assert_allclose(ema.shadows[0].numpy(), expected, rtol=1e-6)
    with ema.applied():
        np.testing.assert_allclose(variable.numpy(), expected, rtol=1e-6)
    np.testing.assert_array_equal(variable.numpy(), [3.0, 6.0])
    np.testing.assert_allclose(ema.shadows[0].numpy(), expected, rtol=1e-6)


def test_the_average_spans_a_share_of_the_steps_done():
    for step in (0, 7, 1000):
        original = tf.minimum(0.9999, (1.0 + step) / (10.0 + step))
        assert float(ema_decay(0.9999, tf.constant(step))) == float(original)
    for step in (1000, 4000):  # 1 / (1 - decay) is the time constant
        decay = float(ema_decay(0.9999, tf.constant(step), span=0.5))
        assert 1 / (1 - decay) == pytest.approx(0.5 * step, rel=0.01)
    assert float(ema_decay(0.99, tf.constant(4000), span=0.5)) == pytest.approx(0.99)


def test_cross_entropy_with_smoothing_is_keras():
    logits = np.random.RandomState(0).normal(size=[4, 7]).astype("float32")
    labels = np.eye(7, dtype="float32")[[0, 3, 6, 2]]
    expected = keras.losses.CategoricalCrossentropy(
        from_logits=True, label_smoothing=0.1, reduction=None
    )(labels, logits)
    np.testing.assert_allclose(losses.cross_entropy(labels, logits, 0.1), expected, rtol=1e-5)


def test_weight_decay_spares_batch_norm_and_includes_biases():
    variables = [
        keras.Variable([3.0], name="kernel"),
        keras.Variable([2.0], name="bias"),
    ]
    norm = keras.layers.BatchNormalization(name="tpu_batch_normalization")
    norm.build([None, 4])
    total = losses.weight_decay([*variables, *norm.trainable_variables])
    assert float(total) == pytest.approx((9 + 4) / 2)
