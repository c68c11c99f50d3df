"""TensorFlow's kernels for TF1's update rules, those that the original ran.

Written out, a rule takes some fifteen operations for each weight, half of all that a training step
of B0 traces and optimizes before it first runs. A replica updates its own copies.
"""

import keras
import tensorflow as tf


def apply_rmsprop(
    variable, mean_square, momentum, gradient, rate, decay: float, factor: float, epsilon: float
) -> None:
    """`RMSprop`'s rule; `factor` multiplies the momentum, and all else is named as there."""
    tf.raw_ops.ResourceApplyRMSProp(
        var=_handle(variable),
        ms=_handle(mean_square),
        mom=_handle(momentum),
        lr=rate,
        rho=decay,
        momentum=factor,
        epsilon=epsilon,
        grad=gradient,
    )


def apply_momentum(variable, accumulator, gradient, rate, factor: float) -> None:
    """`Momentum`'s rule; `factor` multiplies the accumulated gradients."""
    tf.raw_ops.ResourceApplyMomentum(
        var=_handle(variable),
        accum=_handle(accumulator),
        lr=rate,
        grad=gradient,
        momentum=factor,
    )


def apply_adam(
    variable, first_moment, second_moment, gradient, rate, steps, beta_1, beta_2, epsilon
) -> None:
    """Keras' `Adam` rule; `steps` counts the updates including this one."""
    tf.raw_ops.ResourceApplyAdam(
        var=_handle(variable),
        m=_handle(first_moment),
        v=_handle(second_moment),
        beta1_power=beta_1**steps,
        beta2_power=beta_2**steps,
        lr=rate,
        beta1=beta_1,
        beta2=beta_2,
        epsilon=epsilon,
        grad=gradient,
    )


def _handle(variable: keras.Variable | tf.Variable) -> tf.Tensor:
    """Under `fit` with several replicas Keras hands over a replica's variable of TensorFlow's."""
    return (variable.value if isinstance(variable, keras.Variable) else variable).handle
