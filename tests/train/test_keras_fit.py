"""The recipe's parts in a plain Keras `compile` and `fit`."""

import keras
import numpy as np
import tensorflow as tf

from efficientnet_tf.train import EMACallback, RMSprop


def small_model():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input([4]),
            keras.layers.Dense(3),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(2),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(RMSprop(0.01), loss, ["accuracy"])
    return model


INPUTS = np.random.RandomState(0).normal(size=[24, 4]).astype("float32")
LABELS = np.arange(24) % 2


class Recorder(keras.callbacks.Callback):
    """The weights after every batch, and what validation saw."""

    def __init__(self):
        super().__init__()
        self.after_batches, self.in_validation = [], []

    def on_train_batch_end(self, batch, logs=None):
        self.after_batches.append(self.model.get_weights())

    def on_test_batch_begin(self, batch, logs=None):
        self.in_validation.append(self.model.get_weights())


def averages(start, after_batches, decay):
    """The original's average, written out."""
    average = [value.copy() for value in start]
    for step, weights in enumerate(after_batches, start=1):
        d = min(decay, (1 + step) / (10 + step))
        average = [d * a + (1 - d) * w for a, w in zip(average, weights, strict=True)]
    return average


def test_ema_callback_is_the_originals_average_with_statistics():
    model, recorder, ema = small_model(), Recorder(), EMACallback(0.5)
    start = model.get_weights()
    fit = {"batch_size": 8, "verbose": 0, "validation_data": (INPUTS, LABELS)}
    model.fit(INPUTS, LABELS, epochs=2, callbacks=[ema, recorder], **fit)
    expected = averages(start, recorder.after_batches, 0.5)
    for value, wanted in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-5, atol=1e-6)
    first_epoch = averages(start, recorder.after_batches[:3], 0.5)
    for value, wanted in zip(recorder.in_validation[0], first_epoch, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-5, atol=1e-6)
    ema.ema.swap()
    for value, wanted in zip(model.get_weights(), recorder.after_batches[-1], strict=True):
        np.testing.assert_array_equal(value, wanted)


def test_a_second_fit_goes_on_from_the_raw_weights():
    model, ema, recorder = small_model(), EMACallback(0.5), Recorder()
    start = model.get_weights()
    for _ in range(2):
        model.fit(INPUTS, LABELS, batch_size=8, verbose=0, callbacks=[ema, recorder])
    for value, wanted in zip(
        model.get_weights(), averages(start, recorder.after_batches, 0.5), strict=True
    ):
        np.testing.assert_allclose(value, wanted, rtol=1e-5, atol=1e-6)


def test_rmsprop_in_compile_is_the_rule_of_the_paper():
    model = small_model()
    variables = [v.numpy() for v in model.trainable_variables]
    with tf.GradientTape() as tape:
        loss = model.compute_loss(INPUTS[:8], LABELS[:8], model(INPUTS[:8], training=True))
    gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
    model.fit(INPUTS[:8], LABELS[:8], batch_size=8, shuffle=False, verbose=0)
    for variable, before, g in zip(model.trainable_variables, variables, gradients, strict=True):
        g = g.numpy()
        step = 0.01 * g / np.sqrt(0.9 + 0.1 * g * g + 1e-3)
        np.testing.assert_allclose(variable.numpy(), before - step, rtol=1e-4, atol=1e-6)
