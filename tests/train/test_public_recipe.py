"""The recipe's objects in plain Keras: the same updates and averages as in a training run."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.builds import JIT_COMPILE
from helpers.toy import BATCH, NO_DROPOUT, one_device, toy_config, toy_step, two_cpus

import efficientnet_tf as en
from efficientnet_tf.config import TrainConfig
from efficientnet_tf.nn.network import build_network
from efficientnet_tf.train.step import TrainStep

pytestmark = pytest.mark.slow

STEPS = 3
RNG = np.random.RandomState(0)
IMAGES = RNG.uniform(0, 255, [STEPS * BATCH, 32, 32, 3]).astype("float32")
LABELS = np.eye(10, dtype="float32")[RNG.randint(0, 10, STEPS * BATCH)]


class Recorder(keras.callbacks.Callback):
    """The weights before the first and after every batch."""

    def on_train_begin(self, logs=None):
        self.weights = [self.model.get_weights()]

    def on_train_batch_end(self, batch, logs=None):
        self.weights.append(self.model.get_weights())


def compiled(optimizer, **kwargs):
    keras.utils.set_random_seed(0)
    model = build_network(
        toy_config(**NO_DROPOUT), input_shape=(32, 32, 3), classifier_activation=None
    )
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    model.compile(optimizer, loss, jit_compile=JIT_COMPILE, **kwargs)
    return model


def fit(model, *callbacks, epochs=1, **kwargs):
    return model.fit(
        IMAGES,
        LABELS,
        BATCH,
        epochs=epochs,
        verbose=0,
        shuffle=False,
        callbacks=[*callbacks],
        **kwargs,
    )


def expected_averages(recorded, decay):
    """The recurrence in NumPy: t counts the updates including the present one."""
    averages = [w.astype("float64") for w in recorded[0]]
    for t, weights in enumerate(recorded[1:], 1):
        d = min(decay, (1 + t) / (10 + t))
        averages = [d * a + (1 - d) * w for a, w in zip(averages, weights, strict=True)]
    return averages


def assert_close(values, expected, rtol=1e-5):
    for value, wanted in zip(values, expected, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=rtol, atol=1e-6)


@pytest.mark.parametrize("name", ["RMSprop", "Momentum", "LARS"])
def test_fit_updates_like_a_training_step(name):
    trained = toy_step(one_device(), **NO_DROPOUT).model
    ours = getattr(en.train, name)(0.01)
    ours.build(trained.trainable_variables)
    step = tf.function(TrainStep(trained, ours, None, TrainConfig(weight_decay=0.0), BATCH))
    for i in range(STEPS):
        part = slice(i * BATCH, (i + 1) * BATCH)
        step({"image": tf.constant(IMAGES[part]), "label": tf.constant(LABELS[part])})
    model = compiled(getattr(en.train, name)(0.01))
    fit(model)
    assert_close(model.get_weights(), trained.get_weights(), rtol=1e-3)


def test_averages_are_what_numpy_computes():
    model, recorder = compiled(en.train.RMSprop(0.01)), Recorder()
    average = en.train.EMACallback(decay=0.15)  # the ramp ends between the first two updates
    fit(model, average, recorder)
    expected = expected_averages(recorder.weights, 0.15)
    changed = [not np.allclose(a, w) for a, w in zip(expected, recorder.weights[-1], strict=True)]
    paths = [v.path for v, c in zip(model.weights, changed, strict=True) if c]
    assert any("moving_mean" in p for p in paths) and any("kernel" in p for p in paths)
    assert_close(model.get_weights(), expected)  # swapped in at the end
    assert_close([s.numpy() for s in average.ema.shadows], recorder.weights[-1])
    average.swap()
    assert_close(model.get_weights(), recorder.weights[-1])
    with average.applied():
        assert_close(model.get_weights(), expected)
    assert_close(model.get_weights(), recorder.weights[-1])


def test_validation_uses_the_averages():
    model = compiled(en.train.RMSprop(0.1))
    average = en.train.EMACallback(decay=0.5)
    history = fit(model, average, validation_data=(IMAGES, LABELS), validation_batch_size=BATCH)
    of_averages = model.evaluate(IMAGES, LABELS, BATCH, verbose=0)
    average.swap()
    of_weights = model.evaluate(IMAGES, LABELS, BATCH, verbose=0)
    assert history.history["val_loss"][-1] == pytest.approx(of_averages, rel=1e-5)
    assert of_weights != pytest.approx(of_averages, rel=1e-4)


def test_averages_do_not_disturb_training_and_continue_over_two_fits():
    plain, averaged = (compiled(en.train.RMSprop(0.01)) for _ in range(2))
    recorder, average = Recorder(), en.train.EMACallback(0.9, swap_at_end=False)
    fit(plain, recorder, epochs=2)
    for _ in range(2):
        fit(averaged, average, validation_data=(IMAGES, LABELS))
    assert_close(averaged.get_weights(), plain.get_weights())
    average.swap()
    assert_close(averaged.get_weights(), expected_averages(recorder.weights, 0.9))


def test_averages_on_two_replicas_are_what_numpy_computes():
    with two_cpus().scope():
        model = compiled(en.train.RMSprop(0.01))
    recorder = Recorder()
    fit(model, en.train.EMACallback(decay=0.9), recorder)
    assert_close(model.get_weights(), expected_averages(recorder.weights, 0.9))


def test_batches_that_the_average_would_miss_are_an_error():
    model = compiled(en.train.RMSprop(0.01), steps_per_execution=3)
    with pytest.raises(en.UserError, match="steps_per_execution=1"):
        fit(model, en.train.EMACallback())


def test_no_average_before_fit():
    with pytest.raises(en.UserError, match="no average yet"):
        en.train.EMACallback().swap()
