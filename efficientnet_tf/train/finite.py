"""Whether the state of a run is made of numbers."""

from collections.abc import Mapping

import keras
import tensorflow as tf


def first_not_finite(variables: Mapping[str, tf.Variable | keras.Variable]) -> str | None:
    """The name of the first variable that holds a NaN or an infinity, None where there is none."""
    floats = {
        name: value
        for name, variable in variables.items()
        if (value := tf.convert_to_tensor(variable)).dtype.is_floating
    }
    finite = tf.stack([tf.reduce_all(tf.math.is_finite(value)) for value in floats.values()])
    return next((name for name, good in zip(floats, finite.numpy(), strict=True) if not good), None)
