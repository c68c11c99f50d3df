"""Picture bytes to RGB, cropped while decoding where the format allows it."""

from collections.abc import Callable

import tensorflow as tf

from efficientnet_tf.data import preprocess

_JPEG_MAGIC = b"\xff\xd8\xff"
# What libjpeg did when the published checkpoints were trained; INTEGER_ACCURATE is up to 15 grey
# levels away after the resize.
_DCT_METHOD = "INTEGER_FAST"


def decode_and_crop(image: tf.Tensor, choose_box: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
    """The part of a picture that `choose_box` picks from its shape.

    Args:
      image: a scalar string with an encoded picture, or uint8 `[height, width, 3]`.
      choose_box: int32 shape `[3]` to int32 `[y, x, height, width]`.

    Returns:
      uint8 `[height, width, 3]`, RGB.
    """
    if image.dtype != tf.string:
        cropped = preprocess.crop(image, choose_box(tf.shape(image)))
    else:
        cropped = tf.cond(
            tf.equal(tf.strings.substr(image, 0, 3), _JPEG_MAGIC),
            lambda: _decode_and_crop_jpeg(image, choose_box),
            lambda: _decode_then_crop(image, choose_box),
        )
    return tf.ensure_shape(cropped, [None, None, 3])


def _decode_and_crop_jpeg(encoded, choose_box):
    """Decodes only the blocks under the crop: twice the speed of decoding the whole picture."""
    # The shape is of the decoded result, so grey and CMYK pictures have three channels as well.
    shape = tf.concat([tf.image.extract_jpeg_shape(encoded)[:2], [3]], 0)
    box = choose_box(shape)
    return tf.image.decode_and_crop_jpeg(encoded, box, channels=3, dct_method=_DCT_METHOD)


def _decode_then_crop(encoded, choose_box):
    image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    image.set_shape([None, None, 3])
    return preprocess.crop(image, choose_box(tf.shape(image)))
