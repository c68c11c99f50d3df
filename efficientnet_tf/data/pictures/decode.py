"""Decodes pictures to RGB, cropping while decoding where the format allows it."""

from collections.abc import Callable

import tensorflow as tf

from efficientnet_tf.data.pictures import preprocess
from efficientnet_tf.data.pictures.headers import (
    MAX_PIXELS,
    has_many_scans,
    is_jpeg,
    num_pixels,
    refuse_stump,
    still,
    still_pixels,
)

# The decoder that the published checkpoints were trained with; INTEGER_ACCURATE differs by up to 15
# grey levels after the resize.
_DCT_METHOD = "INTEGER_FAST"


def _refuse_large(pixels, jpeg=b""):
    """Refuses a decompression bomb, or a size that is not known, before memory is allocated."""
    allowed = (pixels > 0) & (pixels <= MAX_PIXELS) & ~has_many_scans(jpeg, pixels)
    check = tf.debugging.Assert(allowed, ["no picture, or too large to decode", pixels])
    with tf.control_dependencies([] if check is None else [check]):  # None when eager
        return tf.identity(pixels)


def decode_and_crop(image: tf.Tensor, choose_box: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
    """The part of a picture that `choose_box` picks from its shape.

    JPEG, PNG, GIF (the first picture), BMP and WebP, told apart by content, grey, CMYK, 16-bit,
    palette or with alpha (dropped).

    Args:
      image: a scalar string with an encoded picture, or uint8 `[height, width, 3]`.
      choose_box: int32 shape `[3]` to int32 `[y, x, height, width]`.

    Returns:
      uint8 `[height, width, 3]`, RGB.

    Raises:
      tf.errors.InvalidArgumentError: not decodable, or its header announces too many pixels.
    """
    if image.dtype == tf.string:
        cropped = tf.cond(
            is_jpeg(image),
            lambda: _decode_jpeg(refuse_stump(image), choose_box),
            lambda: _decode_then_crop(image, choose_box),
        )
    else:
        cropped = preprocess.crop(image, choose_box(tf.shape(image)))
    return tf.ensure_shape(cropped, [None, None, 3])


def decode_jpeg_box(
    encoded: tf.Tensor, shape: tf.Tensor, choose_box: Callable[[tf.Tensor], tf.Tensor]
) -> tf.Tensor:
    """`decode_and_crop` for JPEG: decodes only the blocks under the crop, up to twice as fast.

    Args:
      encoded: a scalar string.
      shape: int32 `[3]`, as `tf.image.extract_jpeg_shape` found it.
      choose_box: as in `decode_and_crop`.
    """
    # Three channels also where the file has one or four.
    box = choose_box(tf.concat([shape[:2], [3]], 0))
    return tf.image.decode_and_crop_jpeg(encoded, box, channels=3, dct_method=_DCT_METHOD)


def decoded_size(encoded: tf.Tensor) -> tf.Tensor:
    """Height and width of a picture, int32 `[2]`, found by decoding all of it.

    A JPEG is decoded to an eighth of its sides: that reads every byte and fails where
    `decode_and_crop` fails, but is two to four times as fast.

    Args:
      encoded: a scalar string.

    Raises:
      tf.errors.InvalidArgumentError: as `decode_and_crop`.
    """

    def size_of_jpeg():
        whole = refuse_stump(encoded)
        shape = tf.image.extract_jpeg_shape(whole)
        with tf.control_dependencies([_refuse_large(num_pixels(shape), whole)]):
            pixels = tf.io.decode_jpeg(whole, channels=3, ratio=8, dct_method=_DCT_METHOD)
        # TensorFlow would leave out a decoder that nobody takes anything from.
        return tf.where(tf.size(pixels) > 0, shape[:2], 0)

    return tf.cond(
        is_jpeg(encoded), size_of_jpeg, lambda: tf.shape(_decode_then_crop(encoded, whole_box))[:2]
    )


def whole_box(shape: tf.Tensor) -> tf.Tensor:
    """The box that is the whole picture."""
    return tf.stack([0, 0, shape[0], shape[1]])


def _decode_jpeg(encoded, choose_box):
    shape = tf.image.extract_jpeg_shape(encoded)
    with tf.control_dependencies([_refuse_large(num_pixels(shape), encoded)]):
        return decode_jpeg_box(encoded, tf.identity(shape), choose_box)


def _decode_then_crop(encoded, choose_box):
    picture = still(encoded)
    with tf.control_dependencies([_refuse_large(still_pixels(picture))]):
        image = tf.io.decode_image(picture, channels=3, expand_animations=False)
    image.set_shape([None, None, 3])
    return preprocess.crop(image, choose_box(tf.shape(image)))
