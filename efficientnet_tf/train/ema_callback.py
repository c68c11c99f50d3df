"""The moving average of the weights for `model.fit`."""

import keras
import tensorflow as tf

from efficientnet_tf.train.ema import ExponentialMovingAverage


class EMACallback(keras.callbacks.Callback):
    """Keeps the original's moving average in `model.fit`: with its ramp, statistics included.

        model.compile(en.train.RMSprop(1e-3), "sparse_categorical_crossentropy", ["accuracy"])
        model.fit(train, validation_data=val, callbacks=[en.train.EMACallback(0.999)])
        model.save("averaged.keras")

    For the TensorFlow backend. Validation inside `fit` uses the averages. When training ends the
    model has them, and `ema.swap()` brings the raw weights back.

    Args:
      decay: the final decay, 0..1; the decay in force is `ema_decay`'s.

    Attributes:
      ema: the average, None before training begins.
    """

    def __init__(self, decay: float = 0.9999):
        super().__init__()
        self.decay = decay
        self.ema: ExponentialMovingAverage | None = None
        self._training = False

    def on_train_begin(self, logs: dict | None = None) -> None:
        if self.ema is None:
            self.ema = ExponentialMovingAverage(self.model.weights, self.decay)
            # Hundreds of small operations: one call each batch in place of as many.
            self._update = tf.function(self.ema.update)
        else:
            self.ema.swap()  # a second `fit` goes on from the raw weights
        self._training = True

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self._update(self.model.optimizer.iterations.value)

    def on_test_begin(self, logs: dict | None = None) -> None:
        if self._training:
            self.ema.swap()

    def on_test_end(self, logs: dict | None = None) -> None:
        if self._training:
            self.ema.swap()

    def on_train_end(self, logs: dict | None = None) -> None:
        self._training = False
        self.ema.swap()
