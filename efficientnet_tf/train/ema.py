"""Exponential moving average of the weights: what evaluation, archive and export use."""

import contextlib
from collections.abc import Iterator, Sequence

import keras
import tensorflow as tf

from efficientnet_tf.config import DEFAULT_SPAN


def ema_decay(decay: float, step: tf.Tensor, span: float = DEFAULT_SPAN) -> tf.Tensor:
    """The decay in force after `step` updates: `min(decay, (1 + step) / (1 + 1 / span + step))`.

    Until `decay` is reached the average spans the last `span` of the updates done, however many.
    """
    step = tf.cast(step, tf.float32)
    return tf.minimum(decay, (1.0 + step) / (1.0 + 1.0 / span + step))


class ExponentialMovingAverage:
    """A shadow for every weight, batch-norm statistics included, as in the original.

    The shadow is the average. Keras optimizers' `use_ema` leaves out the batch-norm statistics and
    the ramp of the decay. Each replica updates its own copy of the shadows from its own weights, so
    an update costs no communication. Under `model.fit` use `EMACallback`; in a loop of your own:

        average = en.train.ExponentialMovingAverage(model.weights, decay=0.9999)
        for step, (images, labels) in enumerate(dataset, 1):
            model.train_on_batch(images, labels)
            average.update(step)
        with average.applied():
            model.evaluate(test)

    Args:
      variables: the weights to follow; the shadows start at their present values.
      decay: the final decay, 0..1.
      span: see `ema_decay`, 0..1.
    """

    def __init__(
        self, variables: Sequence[keras.Variable], decay: float, span: float = DEFAULT_SPAN
    ):
        self.decay, self.span = decay, span
        self.variables = list(variables)
        self.shadows = [
            tf.Variable(v.value, trainable=False, name=f"ema/{v.path}", dtype=v.dtype)
            for v in self.variables
        ]

    def decay_after(self, step: tf.Tensor) -> tf.Tensor:
        """The decay in force after `step` updates."""
        return ema_decay(self.decay, step, self.span)

    def update(self, step: tf.Tensor) -> None:
        """Moves the shadows towards the weights; `step` counts the updates including this one."""
        weight = 1.0 - self.decay_after(step)
        for shadow, variable in zip(self.shadows, self.variables, strict=True):
            change = (shadow - variable.value) * tf.cast(weight, shadow.dtype)
            shadow.assign_sub(change)

    def swap(self) -> None:
        """Exchanges weights and shadows."""
        for shadow, variable in zip(self.shadows, self.variables, strict=True):
            average = tf.identity(shadow)
            shadow.assign(variable.value)
            variable.assign(average)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """The model has the averaged weights inside the block, its own again afterwards."""
        self.swap()
        try:
            yield
        finally:
            self.swap()
