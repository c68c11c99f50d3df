"""A picture of what the network will see: images across, augmentations down."""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

_GAP = 4


def augmentation_grid(
    images: np.ndarray,
    policies: Sequence[Callable[[tf.Tensor, tf.Tensor], tf.Tensor]],
    rows_per_policy: int = 2,
    seed: int = 0,
) -> np.ndarray:
    """The images as they are in the top row, then augmented anew in each row.

    Args:
      images: `uint8 [N, S, S, 3]`, N across.
      policies: functions of (image, seed), in order from the top.
      rows_per_policy: rows of each, every one with draws of its own.
      seed: the grid is a pure function of the arguments.

    Returns:
      `uint8 [rows * (S + 4) - 4, N * (S + 4) - 4, 3]`, white between the images.
    """
    rows = [list(images)]
    for policy in policies:
        for _ in range(rows_per_policy):
            first = len(rows) * len(images)
            rows.append(
                [
                    policy(tf.constant(image), (seed, first + i)).numpy()
                    for i, image in enumerate(images)
                ]
            )
    framed = np.pad(
        np.array(rows), [(0, 0), (0, 0), (0, _GAP), (0, _GAP), (0, 0)], constant_values=255
    )
    count, across, height, width, channels = framed.shape
    grid = framed.transpose(0, 2, 1, 3, 4).reshape(count * height, across * width, channels)
    return grid[:-_GAP, :-_GAP]


def write_png(path: str, picture: np.ndarray) -> None:
    """Writes `uint8 [H, W, 3]`; `path` may be a `gs://` one."""
    tf.io.write_file(str(path), tf.io.encode_png(picture))
