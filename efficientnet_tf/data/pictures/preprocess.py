"""Cropping, resizing and flipping, as the original did it.

Everything here is a pure function of tensors, works eagerly and inside `tf.data`, and has shapes
`[height, width, channels]` for images and `[y, x, height, width]`, int32 pixels, for boxes.

Divergences from the original:
  1. A centre crop is at least one pixel wide, so that a 1 x 1 picture still has an evaluation crop.
  2. The training crop draws from a stateless seed, so that a resumed run repeats it.
"""

from collections.abc import Callable

import tensorflow as tf

# The original's `CROP_PADDING`: a 224 network looks at the centre 87.5% of the shorter side.
CENTER_FRACTION = 0.875
ASPECT_RATIOS = (3 / 4, 4 / 3)
MIN_OBJECT_COVERED = 0.1
CROP_ATTEMPTS = 10

# TensorFlow 1's kernels: sample positions are `i * scale` (no half-pixel centres), no antialiasing.
# `tf.image.resize` differs from them by up to 90 grey levels.
_RESIZE_OPS = {"bicubic": tf.raw_ops.ResizeBicubic, "bilinear": tf.raw_ops.ResizeBilinear}
RESIZE_METHODS = tuple(_RESIZE_OPS)


def center_box(shape: tf.Tensor, size: int) -> tf.Tensor:
    """The evaluation crop: the padded centre square.

    Args:
      shape: int32 `[height, width, ...]` of the picture.
      size: side of the network's input in pixels.

    Returns:
      int32 `[4]`, `[y, x, side, side]`.
    """
    padded = size + round(size * (1 / CENTER_FRACTION - 1))
    shorter = tf.cast(tf.minimum(shape[0], shape[1]), tf.float32)
    side = tf.maximum(tf.cast(size / padded * shorter, tf.int32), 1)
    return tf.stack([(shape[0] - side + 1) // 2, (shape[1] - side + 1) // 2, side, side])


def random_box(shape: tf.Tensor, size: int, min_area: float, seed: tf.Tensor) -> tf.Tensor:
    """The training crop: Inception's distorted box, or the centre when no attempt succeeded.

    Args:
      shape: int32 `[height, width, channels]` of the picture.
      size: side of the network's input in pixels, for the centre crop.
      min_area: smallest share of the picture's area to keep, in (0, 1].
      seed: int `[2]`; equal seeds give equal boxes.

    Returns:
      int32 `[4]`, `[y, x, height, width]`.
    """
    begin, extent, _ = tf.image.stateless_sample_distorted_bounding_box(
        shape,
        tf.constant([[[0.0, 0.0, 1.0, 1.0]]]),
        seed=seed,
        min_object_covered=MIN_OBJECT_COVERED,
        aspect_ratio_range=ASPECT_RATIOS,
        area_range=(min_area, 1.0),
        max_attempts=CROP_ATTEMPTS,
    )
    # The op hands back the whole picture when every attempt failed.
    failed = tf.reduce_all(tf.equal(extent[:2], shape[:2]))
    return tf.where(failed, center_box(shape, size), tf.concat([begin[:2], extent[:2]], 0))


def crop(image: tf.Tensor, box: tf.Tensor) -> tf.Tensor:
    """`image[y : y + height, x : x + width]` for a box `[y, x, height, width]`."""
    return tf.slice(image, [box[0], box[1], 0], [box[2], box[3], -1])


def resize(image: tf.Tensor, size: int, method: str = "bicubic") -> tf.Tensor:
    """TensorFlow 1's resize to `[size, size]`.

    Args:
      image: uint8 or float32 `[height, width, channels]`.
      size: side of the result in pixels.
      method: `bicubic` or `bilinear`.

    Returns:
      float32 `[size, size, channels]`; bicubic may leave the range of its input, as it did there.
    """
    op = _RESIZE_OPS[method]
    resized = op(
        images=image[None], size=[size, size], align_corners=False, half_pixel_centers=False
    )
    return tf.ensure_shape(resized[0], [size, size, image.shape[-1]])


def random_flip(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Mirror `[height, width, channels]` left to right in half of all seeds, int `[2]`."""
    return tf.image.stateless_random_flip_left_right(image, seed)


def eval_box(size: int) -> Callable[[tf.Tensor], tf.Tensor]:
    """`center_box` as a function of the shape alone."""
    return lambda shape: center_box(shape, size)


def train_box(size: int, min_area: float, seed: tf.Tensor) -> Callable[[tf.Tensor], tf.Tensor]:
    """`random_box` as a function of the shape alone."""
    return lambda shape: random_box(shape, size, min_area, seed)
