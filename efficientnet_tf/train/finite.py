"""Whether the state of a run is made of numbers."""

from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf


def first_not_finite(variables: Mapping[str, tf.Variable | keras.Variable]) -> str | None:
    """The name of the first variable that holds a NaN or an infinity, None where there is none.

    Looked for on the host: a TPU would compile a program for every shape.
    """
    for name, variable in variables.items():
        if not np.isfinite(tf.convert_to_tensor(variable).numpy()).all():
            return name
    return None
