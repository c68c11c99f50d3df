"""The first frame of a GIF, cut out before anything is decoded.

TensorFlow's decoder unpacks every frame before it looks at one, into as many pixels as the frames
claim for themselves, whatever the size of the screen in the header: 100 kB can take gigabytes.
"""

import tensorflow as tf

_HEADER, _DESCRIPTOR = 13, 10  # bytes
_EXTENSION, _FRAME = 0x21, 0x2C
# Encoders fill data blocks up to 255 bytes, all but the last. So many full ones, 16 kB, are passed
# over at once.
_LOOK_AHEAD = 64
# A first frame of 89 megapixels of noise needs a tenth of these steps. Without a limit a file of
# tiny blocks would keep the search busy, 10 microseconds for every two bytes.
_MAX_STEPS = 100_000
_PADDING = bytes(32)  # what is read behind the end of a short file: an end of blocks


@tf.function(input_signature=[tf.TensorSpec([], tf.string)])
def only_first_frame(encoded: tf.Tensor) -> tf.Tensor:
    """A GIF of the first frame alone, with the frame's own size in its header.

    Args:
      encoded: a scalar string that starts like a GIF.

    Raises:
      tf.errors.InvalidArgumentError: no frame, or one that ends early.
    """
    data = tf.io.decode_raw(tf.strings.join([encoded, _PADDING]), tf.uint8)
    end = tf.strings.length(encoded)
    at, steps = tf.minimum(_HEADER + _color_table(data[10]), end), 0
    while data[at] == _EXTENSION and steps < _MAX_STEPS:
        at, steps = _behind_blocks(data, at + 2, steps + 1)
    is_frame = data[at] == _FRAME
    first_block = at + _DESCRIPTOR + _color_table(data[at + _DESCRIPTOR - 1]) + 1
    stop, steps = _behind_blocks(data, first_block, steps)
    usable = is_frame & (stop <= end) & (steps < _MAX_STEPS)
    check = tf.debugging.Assert(usable, ["Invalid GIF: its first frame is cut short"])
    with tf.control_dependencies([check]):
        at = tf.identity(at)
    size = tf.strings.substr(encoded, at + 5, 4)
    before = tf.strings.substr(encoded, 10, at - 10)
    frame = tf.strings.substr(encoded, at + 9, stop - at - 9)
    # The frame lies in the corner of its screen: TensorFlow would cut off what lies beyond.
    return tf.strings.join(["GIF89a", size, before, b",\0\0\0\0", size, frame, ";"])


def _color_table(flags):
    """The bytes of the table that these flags announce."""
    entries = tf.bitwise.left_shift(2, tf.cast(flags & 7, tf.int32))
    return tf.where(flags >= 128, 3 * entries, 0)


def _behind_blocks(data, at, steps):
    """The position behind a chain of data blocks, and the number of steps so far."""
    end = tf.size(data) - 1
    at = tf.minimum(at, end)
    while data[at] != 0 and steps < _MAX_STEPS:
        are_full = tf.cast(data[at : at + 256 * _LOOK_AHEAD : 256] == 255, tf.int32)
        full = tf.reduce_sum(tf.math.cumprod(are_full))
        at = tf.minimum(at + 256 * full, end)
        if full < _LOOK_AHEAD and data[at] != 0:
            at = tf.minimum(at + 1 + tf.cast(data[at], tf.int32), end)
        steps += 1
    return at + 1, steps
