"""Augmentations that leave every pixel in its place. `uint8 [H, W, 3]` in and out.

Arguments may be Python numbers or scalar tensors; H and W may be dynamic. Constants, truncations
and quirks are those of the original EfficientNet `autoaugment.py` (reference cases `augment`).
"""

import itertools

import tensorflow as tf

from efficientnet_tf.data.augment.compiled import compiled, multiply_add, product


def invert(image: tf.Tensor) -> tf.Tensor:
    """The negative: 255 - v."""
    return 255 - image


@compiled
def posterize(image: tf.Tensor, bits: tf.Tensor) -> tf.Tensor:
    """Keeps the `bits` top bits of each value, 1..8.

    Quirk: the original shifts by the byte 8 - bits, of which TensorFlow uses at most 7. So 0 bits
    keep one bit, and so do more than 8 (RandAugment above magnitude 22).
    """
    shift = tf.minimum(tf.cast(8 - tf.cast(bits, tf.int32), tf.uint8), 7)
    return tf.bitwise.left_shift(tf.bitwise.right_shift(image, shift), shift)


@compiled
def solarize(image: tf.Tensor, threshold: tf.Tensor) -> tf.Tensor:
    """Inverts the values at or above `threshold`, 0..255.

    Quirk: the threshold is a byte, so 256 (magnitude 10) wraps to 0 and inverts the whole image.
    The published models saw that.
    """
    threshold = tf.cast(tf.cast(threshold, tf.int32) % 256, tf.uint8)
    # 255 - v is v with all of its bits turned over.
    return tf.bitwise.bitwise_xor(image, 255 * tf.cast(image >= threshold, tf.uint8))


@compiled
def solarize_add(image: tf.Tensor, addition: tf.Tensor) -> tf.Tensor:
    """Adds `addition` to the values below 128, up to 255."""
    addition = tf.cast(tf.clip_by_value(tf.cast(addition, tf.int32), 0, 255), tf.uint8)
    return image + tf.minimum(addition, 255 - image) * tf.cast(image < 128, tf.uint8)


@compiled
def brightness(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Blends black (factor 0) with the image (1), or extrapolates (above 1)."""
    return _blend(tf.zeros_like(image), image, factor)


@compiled
def contrast(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Blends an even grey (factor 0) with the image (1), or extrapolates (above 1).

    Quirk: the grey is not the image's mean but its number of pixels / 256, 255 at most: the
    original averaged the histogram. At 224x224 it is 196, from 256x256 on it is white.
    """
    grey = tf.minimum(tf.size(image) // 3 // 256, 255)
    return _blend(tf.cast(grey, tf.uint8), image, factor)


@compiled
def color(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Blends the greyscale image (factor 0) with the image (1), or extrapolates (above 1)."""
    # tf.image.rgb_to_grayscale, down to the truncation of x * 255.5 on the way back to bytes.
    red, green, blue = tf.split(tf.cast(image, tf.float32) * (1.0 / 255.0), 3, -1)
    grey = product(red, 0.2989) + product(green, 0.5870) + product(blue, 0.1140)
    grey = tf.floor(grey * 255.5)
    # By a product, as the plain kernels are slow where the three of a pixel share a value.
    grey = tf.reshape(tf.reshape(grey, [-1, 1]) @ tf.ones([1, 3]), tf.shape(image))
    return _blend(grey, image, factor)


def sharpness(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Blends the image smoothed by [[1 1 1] [1 5 1] [1 1 1]] / 13 (factor 0) with the image (1).

    The outermost pixels have no full neighbourhood and stay.
    """
    inside = _sharpened_inside(image, factor)
    rows = tf.concat([image[1:-1, :1], inside, image[1:-1, -1:]], 1)
    return tf.concat([image[:1], rows, image[-1:]], 0)


@compiled
def autocontrast(image: tf.Tensor) -> tf.Tensor:
    """Stretches each channel to 0..255; a flat channel stays."""
    # Rows of bytes: the plain kernels are slow where a vector meets the three values of each pixel.
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    rows = tf.cast(tf.reshape(image, [height, -1]), tf.float32)
    low = tf.cast(tf.reduce_min(image, [0, 1]), tf.float32)
    high = tf.cast(tf.reduce_max(image, [0, 1]), tf.float32)
    flat = high == low
    scale = tf.where(flat, 1.0, 255.0 / tf.maximum(high - low, 1.0))
    shift = tf.where(flat, 0.0, product(-low, scale))
    stretched = product(rows, tf.tile(scale, [width])) + tf.tile(shift, [width])
    return tf.reshape(to_bytes(stretched), tf.shape(image))


def equalize(image: tf.Tensor) -> tf.Tensor:
    """Flattens the histogram of each channel as PIL's `ImageOps.equalize` does."""
    return _look_up(image, _equalize_table(image))


def to_bytes(values: tf.Tensor) -> tf.Tensor:
    """float32 of any shape cut off to `uint8`; values outside 0..255 become the nearest."""
    # In one pass, where `tf.clip_by_value` makes two.
    clipped = tf.raw_ops.ClipByValue(t=values, clip_value_min=0.0, clip_value_max=255.0)
    return tf.cast(clipped, tf.uint8)


def _blend(degenerate: tf.Tensor, image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """degenerate + factor * (image - degenerate) in float32, cut off to a byte."""
    degenerate = tf.cast(degenerate, tf.float32)  # whole grey levels
    difference = tf.cast(image, tf.float32) - degenerate
    blended = degenerate + product(tf.cast(factor, tf.float32), difference)
    return to_bytes(blended)


@compiled
def _sharpened_inside(image: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """`sharpness` of all but the outermost pixels, `uint8 [H - 2, W - 2, 3]`."""
    height, width = tf.shape(image)[0] - 2, tf.shape(image)[1] - 2
    smooth = tf.zeros([])
    for row, column in itertools.product(range(3), range(3)):
        weight = tf.constant(5.0 if row == column == 1 else 1.0) / 13.0
        neighbour = tf.cast(image[row : height + row, column : width + column], tf.float32)
        smooth = multiply_add(neighbour, weight, smooth)
    return _blend(tf.cast(smooth, tf.uint8), image[1:-1, 1:-1], factor)


@compiled
def _equalize_table(image: tf.Tensor) -> tf.Tensor:
    """`uint8 [3, 256]`: what becomes of each value of each channel."""
    # tf.math.bincount would make the size depend on the image, and XLA compile for each image anew.
    histogram = tf.raw_ops.Bincount(
        arr=_table_index(image), size=768, weights=tf.zeros([0], tf.int32)
    )
    histogram = tf.reshape(histogram, [3, 256])
    values = tf.range(256)
    highest = tf.reduce_max(tf.where(histogram > 0, values, 0), 1, keepdims=True)
    in_highest = tf.where(values == highest, histogram, 0)
    step = tf.reduce_sum(histogram - in_highest, 1, keepdims=True) // 255
    rank = tf.cumsum(histogram, 1, exclusive=True) + step // 2
    spread = tf.minimum(rank // tf.maximum(step, 1), 255)
    return tf.cast(tf.where(step > 0, spread, values), tf.uint8)


@compiled
def _look_up(image: tf.Tensor, table: tf.Tensor) -> tf.Tensor:
    """`table[channel, value]` of each value. A function of its own, so that XLA does not compute
    the table anew for each pixel."""
    found = tf.gather_nd(tf.reshape(table, [-1]), _table_index(image)[:, None])
    return tf.reshape(found, tf.shape(image))


def _table_index(image: tf.Tensor) -> tf.Tensor:
    """`int32 [H * W * 3]` position of each value in a flattened `[3, 256]` table.

    The plain kernels are slow where a vector is added to the three values of each pixel.
    """
    values = tf.cast(tf.reshape(image, [-1]), tf.int32)
    return values + tf.tile(tf.range(0, 768, 256), [tf.size(image) // 3])
