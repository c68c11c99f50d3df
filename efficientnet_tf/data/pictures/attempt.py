"""Decoding that reports a failure instead of raising it, and what was wrong with the picture."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from efficientnet_tf.data.pictures.decode import decode_and_crop, decode_jpeg_box
from efficientnet_tf.data.pictures.headers import (
    MAX_PIXELS,
    announced_pixels,
    has_many_scans,
    is_animated_webp,
    is_jpeg,
    is_whole_jpeg,
    may_take_long,
    num_pixels,
)

BLACK_PIXEL = np.zeros([1, 1, 3], np.uint8)


def attempt(function: Callable, argument, otherwise):
    """`(True, function(argument))`, or `(False, otherwise)` where that fails.

    TensorFlow has no `try` in a graph. A data set of one element with `ignore_errors` serves as
    one; it costs a quarter of a millisecond.

    Args:
      argument: a tensor or a structure of tensors.
      otherwise: has the structure and dtypes of the result; shapes are the weaker of the two.
    """

    def succeed(*parts):  # `Dataset.map` spreads a tuple over the arguments
        return True, function(parts[0] if len(parts) == 1 else parts)

    tried = tf.data.Dataset.from_tensors(argument).map(succeed).ignore_errors()
    fallback = tf.data.Dataset.from_tensors((False, otherwise))
    return tried.concatenate(fallback).take(1).get_single_element()


def try_decode(
    image: tf.Tensor, choose_box: Callable[[tf.Tensor], tf.Tensor]
) -> tuple[tf.Tensor, tf.Tensor]:
    """`decode_and_crop` that says whether it succeeded.

    A JPEG with a beginning and an end goes straight to the decoder, which accepts nine in ten that
    are damaged in between and raises an error for the others; everything else is an `attempt`.

    Returns:
      A bool scalar, and the crop, uint8 `[height, width, 3]`, one black pixel where that is False.
    """
    if image.dtype != tf.string:
        return tf.constant(True), decode_and_crop(image, choose_box)

    def decode_jpeg():
        shape = tf.image.extract_jpeg_shape(image)
        count = num_pixels(shape)

        def decode():
            return tf.constant(True), decode_jpeg_box(image, shape, choose_box)

        def decode_unless_hostile():
            hostile = (count > MAX_PIXELS) | has_many_scans(image, count)
            return tf.cond(hostile, lambda: (tf.constant(False), BLACK_PIXEL), decode)

        # Most are small, and each `cond` costs a fiftieth of their decoding.
        return tf.cond(may_take_long(image, count), decode_unless_hostile, decode)

    def decode_other():
        return attempt(lambda encoded: decode_and_crop(encoded, choose_box), image, BLACK_PIXEL)

    ok, pixels = tf.cond(is_whole_jpeg(image), decode_jpeg, decode_other)
    return ok, tf.ensure_shape(pixels, [None, None, 3])


def picture_problem(encoded: tf.Tensor) -> tf.Tensor:
    """Why a picture, a scalar string, cannot be decoded: the end of a sentence."""
    readable, pixels = attempt(announced_pixels, encoded, tf.constant(0, tf.int64))
    problem = tf.case(
        [
            (tf.equal(tf.strings.length(encoded), 0), lambda: "is empty"),
            (pixels > MAX_PIXELS, lambda: "announces more than 89 megapixels"),
            (
                readable & tf.equal(pixels, 0),
                lambda: "is not a JPEG, PNG, GIF, BMP or WebP picture",
            ),
            (
                is_jpeg(encoded) & has_many_scans(encoded, pixels),
                lambda: "is a JPEG of more scans than any coder writes",
            ),
            (is_animated_webp(encoded), lambda: "is an animated WebP; save one picture of it"),
        ],
        default=lambda: "is corrupt or cut short",
    )
    return tf.convert_to_tensor(problem)  # eagerly tf.case leaves a string a string
