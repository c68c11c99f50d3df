"""The loss scale of a run in float16, without which small gradients would become zero."""

import keras
import tensorflow as tf

_INITIAL, _LARGEST = 2.0**15, 2.0**24
_GROWTH_STEPS = 2000


class LossScale:
    """What the loss is multiplied by before the backward pass, and the gradients divided by after.

    It doubles after 2,000 steps in a row with finite gradients and halves with others, whose update
    is left out (Micikevicius et al. 2018, section 3.2). Its state is a part of the optimizer's, so
    that a checkpoint has it.

    Args:
      optimizer: built.
    """

    def __init__(self, optimizer: keras.optimizers.Optimizer):
        self._scale = optimizer.add_variable(
            (), keras.initializers.Constant(_INITIAL), "float32", name="loss_scale"
        )
        self._good_steps = optimizer.add_variable((), "zeros", "int32", name="good_steps")

    @property
    def value(self) -> tf.Tensor:
        """The scale of this step, float32 scalar."""
        return tf.identity(self._scale.value)

    def update(self, finite: tf.Tensor) -> None:
        """Takes notice of a step whose gradients were finite, or not; bool scalar."""
        good = tf.where(finite, self._good_steps.value + 1, 0)
        grows = good >= _GROWTH_STEPS
        larger = tf.where(grows, tf.minimum(2.0 * self.value, _LARGEST), self.value)
        self._scale.assign(tf.where(finite, larger, tf.maximum(self.value / 2.0, 1.0)))
        self._good_steps.assign(tf.where(grows, 0, good))
