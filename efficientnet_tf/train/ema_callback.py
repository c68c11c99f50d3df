"""The moving average of the weights under Keras' `fit`."""

import contextlib
from collections.abc import Iterator

import keras
import tensorflow as tf

from efficientnet_tf.config import DEFAULT_SPAN, UserError
from efficientnet_tf.train.ema import ExponentialMovingAverage


class EMACallback(keras.callbacks.Callback):
    """Averages all weights of the model, batch-norm statistics included, after every update.

    The same average as that of a training run: `ExponentialMovingAverage`, with its ramp by the
    optimizer's `iterations`. Other callbacks, `ModelCheckpoint` too, see the model's own weights
    until `fit` ends.

        average = en.train.EMACallback(decay=0.9999)
        model.compile(en.train.RMSprop(0.016), "sparse_categorical_crossentropy")
        model.fit(train, epochs=5, validation_data=test, callbacks=[average])
        model.evaluate(test)  # the averages; `average.swap()` brings the last weights back
        model.save("averaged.keras")

    A second `fit` with the same callback continues the average, unless the averages are in the
    model: then training and a new average start from them.

    Args:
      decay: the final decay, 0..1.
      span: the share of the updates done that the average spans until then, 0..1; short runs want
        more than the original's ninth.
      validate: whether `validation_data` is evaluated with the averages.
      swap_at_end: whether the model holds the averages when `fit` returns.

    Raises:
      UserError: Keras runs on another backend than TensorFlow.
    """

    def __init__(
        self,
        decay: float = 0.9999,
        validate: bool = True,
        swap_at_end: bool = True,
        span: float = DEFAULT_SPAN,
    ):
        super().__init__()
        if keras.backend.backend() != "tensorflow":
            raise UserError(
                f"EMACallback needs KERAS_BACKEND=tensorflow, not {keras.backend.backend()}; "
                "keras.callbacks.SwapEMAWeights works on every backend"
            )
        self.decay, self.validate, self.swap_at_end = decay, validate, swap_at_end
        self.span = span
        self.ema: ExponentialMovingAverage | None = None
        self._swapped = self._fitting = False

    def on_train_begin(self, logs: dict | None = None) -> None:
        weights = [v for v in self.model.weights if keras.backend.is_float_dtype(v.dtype)]
        same = self.ema and list(map(id, weights)) == list(map(id, self.ema.variables))
        if self._swapped or not same:
            strategy = self.model.distribute_strategy
            with strategy.scope():
                self.ema = ExponentialMovingAverage(weights, self.decay, self.span)
            update = self.ema.update
            # Each replica updates its own copy of the averages.
            self._update = tf.function(lambda step: strategy.run(update, args=(step,)))
        self._swapped, self._fitting = False, True
        self._updates = self._optimizer_updates()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        updates = self._optimizer_updates()
        if updates > self._updates + 1:
            raise UserError("EMACallback needs compile(steps_per_execution=1) to see every update")
        if updates > self._updates:  # gradient accumulation has batches without an update
            self._update(tf.constant(updates))
        self._updates = updates

    def _optimizer_updates(self):
        return int(self.model.optimizer.iterations.numpy())

    def on_test_begin(self, logs: dict | None = None) -> None:
        if self._fitting and self.validate:
            self.swap()

    def on_test_end(self, logs: dict | None = None) -> None:
        if self._fitting and self.validate:
            self.swap()

    def on_train_end(self, logs: dict | None = None) -> None:
        self._fitting = False
        if self.swap_at_end:
            self.swap()

    def swap(self) -> None:
        """Exchanges the model's weights and the averages.

        Raises:
          UserError: there is no average before `fit`.
        """
        if not self.ema:
            raise UserError("EMACallback has no average yet; pass it to fit(callbacks=[...]) first")
        self.ema.swap()
        self._swapped = not self._swapped

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Inside the block the model holds the averages."""
        if self._swapped:
            yield
            return
        self.swap()
        try:
            yield
        finally:
            self.swap()
