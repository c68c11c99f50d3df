"""Bad examples, found before they hurt and named.

TensorFlow has no `try` in a graph and its decoders do not say what they were decoding. A data set
of one element with `ignore_errors` is a `try`, at a quarter of a millisecond. So by default only
what does not look like a whole JPEG is tried; `max_bad_examples` tries everything.
"""

from collections.abc import Callable

import tensorflow as tf

from efficientnet_tf.data.pictures.decode import decode_and_crop, decode_and_crop_jpeg
from efficientnet_tf.data.pictures.headers import MAX_PIXELS, announced_pixels, is_whole_jpeg

# How `failures.explain` recognises our own assertions.
BAD_EXAMPLE = "efficientnet_tf: bad example"


def attempt(function: Callable, argument, otherwise):
    """`(True, function(argument))`, or `(False, otherwise)` where that fails.

    `otherwise` has the structure and dtypes of the result; shapes are the weaker of the two.
    """
    tried = tf.data.Dataset.from_tensors(argument).map(lambda *x: (True, function(_single(x))))
    fallback = tf.data.Dataset.from_tensors((False, otherwise))
    return tried.ignore_errors().concatenate(fallback).take(1).get_single_element()


def require(condition: tf.Tensor, reason: Callable, name: Callable) -> tf.Tensor:
    """Fails with a message that `failures.explain` can read; the callables run only then.

    Returns:
      A tensor to make what must not happen otherwise depend on.
    """

    def fail():
        with tf.control_dependencies([tf.debugging.Assert(False, [BAD_EXAMPLE, reason(), name()])]):
            return tf.constant(False)

    return tf.cond(condition, lambda: tf.constant(True), fail)


def decode_or_name(
    image: tf.Tensor,
    choose_box: Callable[[tf.Tensor], tf.Tensor],
    name: Callable[[], tf.Tensor],
) -> tf.Tensor:
    """`decode_and_crop`, failing with the name of what could not be decoded.

    A JPEG with a beginning and an end goes straight to the decoder. What is wrong inside it shows
    as odd pixels or, one time in ten, as an error without a name; `failures.explain` looks for it.
    """
    if image.dtype != tf.string:
        return decode_and_crop(image, choose_box)

    def refuse_large(pixels):
        return require(pixels <= MAX_PIXELS, lambda: reason(image), name)

    def try_to_decode():
        black = tf.zeros([1, 1, 3], tf.uint8)
        ok, cropped = attempt(lambda encoded: decode_and_crop(encoded, choose_box), image, black)
        require(ok, lambda: reason(image), name)
        return cropped

    return tf.cond(
        is_whole_jpeg(image),
        lambda: decode_and_crop_jpeg(image, choose_box, refuse_large),
        try_to_decode,
    )


def reason(encoded: tf.Tensor) -> tf.Tensor:
    """Why a picture, a scalar string, could not be decoded: the end of a sentence."""
    readable, pixels = attempt(announced_pixels, encoded, tf.constant(0, tf.int64))
    why = tf.case(
        [
            (tf.equal(tf.strings.length(encoded), 0), lambda: "is empty"),
            (pixels > MAX_PIXELS, lambda: "announces more than 89 megapixels"),
            (
                readable & tf.equal(pixels, 0),
                lambda: "is not a JPEG, PNG, GIF, BMP or WebP picture",
            ),
        ],
        default=lambda: "is corrupt or cut short",
    )
    return tf.convert_to_tensor(why)  # eagerly tf.case leaves a string a string


def _single(arguments):
    """`Dataset.map` spreads a tuple over its function's arguments; we want it back as one."""
    return arguments[0] if len(arguments) == 1 else arguments
