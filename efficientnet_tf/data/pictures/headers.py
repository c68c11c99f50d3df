"""What a picture's first bytes say: its format and how many pixels it will unfold to."""

import numpy as np
import tensorflow as tf

# Pillow's limit for a decompression bomb, rounded.
MAX_PIXELS = 89_000_000
HEADER_BYTES = 32
_JPEG_START, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
# The second bytes of markers.
_PROGRESSIVE, _SCAN, _END = 0xC2, 0xDA, 0xD9

# How the file begins (a dot is any byte); where width and height lie, least significant byte first;
# what the height is divided by, the mask of both and what is added to them.
_FORMATS = (
    (b"\x89PNG", (19, 18, 17, 16), (23, 22, 21, 20), 1, 0xFFFFFFFF, 0),
    (b"GIF8", (6, 7), (8, 9), 1, 0xFFFF, 0),
    (b"BM", (18, 19, 20, 21), (22, 23, 24, 25), 1, 0xFFFFFFFF, 0),
    (b"RIFF....WEBPVP8 ", (26, 27), (28, 29), 1, 0x3FFF, 0),
    (b"RIFF....WEBPVP8L", (21, 22), (21, 22, 23, 24), 2**14, 0x3FFF, 1),
    (b"RIFF....WEBPVP8X", (24, 25, 26), (27, 28, 29), 1, 0xFFFFFF, 1),
)


def is_picture_header(start: bytes) -> bool:
    """Whether the first `HEADER_BYTES` of a file are those of a format that can be decoded."""
    magics = [_JPEG_START, *(row[0] for row in _FORMATS)]
    return any(
        len(start) >= len(magic)
        and all(byte in (ord("."), found) for byte, found in zip(magic, start, strict=False))
        for magic in magics
    )


def is_jpeg(encoded: tf.Tensor) -> tf.Tensor:
    """Whether a scalar string starts like a JPEG, whatever its file was called."""
    return tf.equal(tf.strings.substr(encoded, 0, 3), _JPEG_START)


def is_whole_jpeg(encoded: tf.Tensor) -> tf.Tensor:
    """Whether it also ends like one: a download that broke off does not."""
    # A position before the start would be an error, so the empty string is read from 0.
    end = tf.maximum(tf.strings.length(encoded) - 2, 0)
    return is_jpeg(encoded) & tf.equal(tf.strings.substr(encoded, end, 2), _JPEG_END)


def refuse_stump(encoded: tf.Tensor) -> tf.Tensor:
    """A JPEG itself, unless so much is cut off that no part of it can be decoded.

    libjpeg, asked for the impossible, writes "Improper call to JPEG library" to stderr, each time.

    Raises:
      tf.errors.InvalidArgumentError: no scan begins, or a progressive one never ends.
    """

    def scan_may_decode():
        data = tf.io.decode_raw(encoded, tf.uint8)
        second = tf.where(data[:-1] == 0xFF, data[1:], 0)

        def last(marker):
            return tf.reduce_max(tf.where(second == marker, tf.range(tf.size(second)), -1))

        endless = (last(_PROGRESSIVE) >= 0) & (last(_END) < last(_SCAN))
        return (last(_SCAN) >= 0) & ~endless

    # Bytes are searched only where the end is not in its place.
    usable = tf.cond(is_whole_jpeg(encoded), lambda: tf.constant(True), scan_may_decode)
    check = tf.debugging.Assert(usable, ["Invalid JPEG: cut short"])
    with tf.control_dependencies([] if check is None else [check]):  # None when eager
        return tf.identity(encoded)


def announced_pixels(encoded: tf.Tensor) -> tf.Tensor:
    """Width times height as the header of a JPEG, PNG, GIF, BMP or WebP gives them.

    Args:
      encoded: scalar string.

    Returns:
      int64 scalar; 0 for a format that is none of these.

    Raises:
      tf.errors.InvalidArgumentError: a JPEG without a readable header.
    """
    return tf.cond(is_jpeg(encoded), lambda: _jpeg_pixels(encoded), lambda: _other_pixels(encoded))


def num_pixels(shape: tf.Tensor) -> tf.Tensor:
    """Height times width, int64, of an int32 shape `[height, width, channels]`."""
    return tf.reduce_prod(tf.cast(shape[:2], tf.int64))


def _jpeg_pixels(encoded):
    return num_pixels(tf.image.extract_jpeg_shape(refuse_stump(encoded)))


def _other_pixels(encoded):
    data = tf.io.decode_raw(encoded, tf.uint8, fixed_length=HEADER_BYTES)
    matches = tf.reduce_all((data == _MAGIC) | _ANY, axis=1)
    sides = tf.reduce_sum(tf.cast(data, tf.int64) * _WEIGHTS, axis=2)
    # The height of a BMP that is stored from top to bottom is negative.
    sides = tf.minimum(sides, 2**32 - sides)
    sides = tf.bitwise.bitwise_and(sides // _DIVISORS, _MASKS) + _ADDENDS
    return tf.reduce_sum(tf.where(matches, sides[0] * sides[1], 0))


def _weights(places: tuple[int, ...]) -> list[int]:
    """What each byte of the header counts in the number that lies at `places`."""
    return [256 ** places.index(i) if i in places else 0 for i in range(HEADER_BYTES)]


_STARTS = [row[0].ljust(HEADER_BYTES, b".") for row in _FORMATS]
_MAGIC = np.array([list(start) for start in _STARTS], np.uint8)
_ANY = ord(".") == _MAGIC
_WEIGHTS = np.array([[_weights(row[side]) for row in _FORMATS] for side in (1, 2)])
_DIVISORS = np.array([[1] * len(_FORMATS), [row[3] for row in _FORMATS]])
_MASKS = np.array([row[4] for row in _FORMATS])
_ADDENDS = np.array([row[5] for row in _FORMATS])
