"""How much weights may announce, compared with the model they are for, before they are read."""

import math
from pathlib import Path

import keras

from efficientnet_tf.config import UserError

# Raw weights, their averages, and two slots of an optimizer.
_COPIES = 4
# Beyond that, so that a file of a larger variant is still read and what does not fit is listed.
_MARGIN = 1 << 30
# Weights hardly compress; those of a new network, mostly zeros, do, but are small.
_GROWTH, _SMALL = 4, 256 << 20


def check_size(model: keras.Model, num_bytes: int, where: str) -> None:
    """Raises a `UserError` for weights that need much more memory than the model has.

    Args:
      num_bytes: what reading them would take.
      where: what to call them in the error.
    """
    needed = sum(4 * math.prod(variable.shape) for variable in model.weights)
    if num_bytes > _COPIES * needed + _MARGIN:
        raise UserError(
            f"{where} announces {num_bytes / 1e6:,.0f} MB, and {model.name} has "
            f"{needed / 1e6:,.1f} MB: not its weights"
        )


def check_growth(path: Path, num_bytes: int) -> None:
    """Raises a `UserError` for a file that announces much more than it can hold.

    Keras would take up the memory before it compares shapes.
    """
    if num_bytes > _GROWTH * path.stat().st_size + _SMALL:
        raise UserError(f"{path} announces {num_bytes / 1e6:,.0f} MB, more than its weights can be")
