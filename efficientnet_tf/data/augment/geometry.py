"""Augmentations that move or hide pixels. `uint8 [H, W, 3]` in and out.

Arguments may be Python numbers or scalar tensors; H and W may be dynamic. What comes from outside
the image is grey, 128. Sampling is nearest neighbour and follows the arithmetic of TF1's
`contrib.image.transform` to the last rounding (reference cases `augment`).
"""

import math
from collections.abc import Sequence

import tensorflow as tf

from efficientnet_tf.data.augment.compiled import compiled, total

FILL = 128


def rotate(image: tf.Tensor, degrees: tf.Tensor) -> tf.Tensor:
    """Turns the image round its centre."""
    height, width = _size(image)
    radians = tf.cast(degrees * (math.pi / 180.0), tf.float32)
    cos, sin = tf.cos(radians), tf.sin(radians)
    right, bottom = tf.cast(width - 1, tf.float32), tf.cast(height - 1, tf.float32)
    x_offset = (right - (cos * right - sin * bottom)) / 2.0
    y_offset = (bottom - (sin * right + cos * bottom)) / 2.0
    return affine(image, [[cos, -sin, x_offset], [sin, cos, y_offset]])


def shear_x(image: tf.Tensor, level: tf.Tensor) -> tf.Tensor:
    """Row y reads from `level * y` pixels further right."""
    return affine(image, [[1.0, level, 0.0], [0.0, 1.0, 0.0]])


def shear_y(image: tf.Tensor, level: tf.Tensor) -> tf.Tensor:
    """Column x reads from `level * x` pixels further down."""
    return affine(image, [[1.0, 0.0, 0.0], [level, 1.0, 0.0]])


def translate_x(image: tf.Tensor, pixels: tf.Tensor) -> tf.Tensor:
    """Moves the image `pixels` to the left."""
    return affine(image, [[1.0, 0.0, pixels], [0.0, 1.0, 0.0]])


def translate_y(image: tf.Tensor, pixels: tf.Tensor) -> tf.Tensor:
    """Moves the image `pixels` up."""
    return affine(image, [[1.0, 0.0, 0.0], [0.0, 1.0, pixels]])


def affine(
    image: tf.Tensor, matrix: tf.Tensor | Sequence[Sequence[float | tf.Tensor]]
) -> tf.Tensor:
    """Pixel (x, y) of the result is the pixel of `image` nearest to `matrix @ [x, y, 1]`.

    Args:
      image: `uint8 [H, W, 3]`, fewer than 2**24 pixels.
      matrix: `float32 [2, 3]` or two rows of three numbers or scalar tensors, from output to
        input coordinates (x first).
    """
    height, width = _size(image)
    columns = tf.range(width, dtype=tf.float32)[None]
    rows = tf.range(height, dtype=tf.float32)[:, None]
    if tf.is_tensor(matrix):
        matrix = [tf.unstack(row) for row in tf.unstack(matrix)]
    (x_by_column, x_by_row, x_offset), (y_by_column, y_by_row, y_offset) = matrix
    # The only products stand here, outside the compiled functions: XLA would fuse them with the
    # sums below and round once where the original rounded twice.
    index = _source_index(
        x_by_column * columns,
        _shift(x_by_row, rows),
        tf.cast(x_offset, tf.float32),
        _shift(y_by_column, columns),
        y_by_row * rows,
        tf.cast(y_offset, tf.float32),
    )
    return _take(image, index)


@compiled
def cutout(image: tf.Tensor, half_side: tf.Tensor, centre: tf.Tensor) -> tf.Tensor:
    """Hides a square.

    Args:
      image: `uint8 [H, W, 3]`.
      half_side: in pixels; the part of the square outside the image is lost.
      centre: `float32 [2]` in [0, 1), its row and column as parts of the height and the width.
    """
    height, width = _size(image)
    half_side = tf.cast(half_side, tf.int32)

    def hidden(length: tf.Tensor, part: tf.Tensor) -> tf.Tensor:
        middle = tf.cast(part * tf.cast(length, tf.float32), tf.int32)
        position = tf.range(length)
        return (position >= middle - half_side) & (position < middle + half_side)

    # Rows of bytes: the plain kernels are slow where the three values of a pixel share a condition.
    rows, columns = hidden(height, centre[0]), tf.repeat(hidden(width, centre[1]), 3)
    flat = tf.reshape(image, [height, -1])
    inside = tf.where(rows[:, None] & columns, tf.constant(FILL, tf.uint8), flat)
    return tf.reshape(inside, tf.shape(image))


def _shift(factor: float | tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
    """`factor * positions`; of a factor that is always 0, one zero to be broadcast.

    What does not depend on both row and column is then computed for one row or column only.
    """
    never = isinstance(factor, int | float) and factor == 0
    return tf.zeros([1, 1]) if never else factor * positions


@compiled
def _source_index(
    x_of_column: tf.Tensor,
    x_of_row: tf.Tensor,
    x_offset: tf.Tensor,
    y_of_column: tf.Tensor,
    y_of_row: tf.Tensor,
    y_offset: tf.Tensor,
) -> tf.Tensor:
    """Where each pixel comes from, its (x, y) the sum of three parts.

    Args:
      x_of_column, y_of_row: `float32 [1, W]` and `[H, 1]`.
      x_of_row, y_of_column: `float32 [H, 1]` and `[1, W]`, or `[1, 1]`.
      x_offset, y_offset: `float32 []`, the source of (0, 0).

    Returns:
      `int32 [H, W]`, the position in the flattened image, and outside it the one behind its end.
    """
    height, width = _length(y_of_row), _length(x_of_column)
    # In halves of pixels, which changes no rounding: the nearest pixel is then found in whole
    # numbers. Half a pixel is rounded up, as C's `round` does from -0.5 on.
    x = total(2.0 * x_of_column, 2.0 * x_of_row) + 2.0 * x_offset
    y = total(2.0 * y_of_column, 2.0 * y_of_row) + 2.0 * y_offset
    right, bottom = tf.cast(2 * width - 1, tf.float32), tf.cast(2 * height - 1, tf.float32)
    inside = ((x > -1.0) & (x < right)) & ((y > -1.0) & (y < bottom))
    return tf.where(inside, _nearest(y) * width + _nearest(x), height * width)


@compiled
def _take(image: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
    """The pixels at `index`, behind the end a grey one. A function of its own, so that XLA does not
    compute the index anew for each channel."""
    pixels = tf.concat(
        [tf.reshape(image, [-1, 3]), tf.fill([1, 3], tf.constant(FILL, tf.uint8))], 0
    )
    return tf.gather_nd(pixels, index[..., None])


def _nearest(halves: tf.Tensor) -> tf.Tensor:
    """The pixel nearest to a place in halves of pixels, above -1."""
    return tf.bitwise.right_shift(tf.cast(halves, tf.int32) + 1, 1)


def _size(image: tf.Tensor) -> tuple[int | tf.Tensor, int | tf.Tensor]:
    """Height and width, as numbers where they are static."""
    dynamic = tf.shape(image)
    return image.shape[0] or dynamic[0], image.shape[1] or dynamic[1]


def _length(vector: tf.Tensor) -> int | tf.Tensor:
    """Of a row or a column, as a number where it is static."""
    return vector.shape.num_elements() or tf.size(vector)
