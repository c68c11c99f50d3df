"""Reads a picture's format and size from its first bytes."""

import numpy as np
import tensorflow as tf

from efficientnet_tf.data.pictures.gif import only_first_frame

# Pillow's limit for a decompression bomb, rounded.
MAX_PIXELS = 89_000_000
HEADER_BYTES = 32
# Coders write up to 30 scans. Each may be a dozen bytes that take libjpeg once through all pixels,
# 0.06 seconds for 80 megapixels, so a file of a megabyte could take ten minutes.
_MAX_SCANS = 200
# Pixels times bytes up to which scans are not counted (0.3 ms for 100 kB): decoding such a JPEG
# cannot take more than two seconds.
_UNCOUNTED = 2**35
_JPEG_START, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
# The second bytes of markers.
_PROGRESSIVE, _SCAN, _END = 0xC2, 0xDA, 0xD9

_GIF_START = b"GIF8"
_WEBP_FLAGS, _WEBP_ANIMATION = 20, 0x02  # the place of a byte, and a bit in it

# For each format: how the file begins (a dot is any byte); the places of the bytes of the width and
# of the height, least significant first; the divisor of the height; the mask of both sides; what is
# added to both; the format's name.
_FORMATS = (
    (b"\x89PNG\r\n\x1a\n....IHDR", (19, 18, 17, 16), (23, 22, 21, 20), 1, 0xFFFFFFFF, 0, "PNG"),
    (_GIF_START, (6, 7), (8, 9), 1, 0xFFFF, 0, "GIF"),
    (b"BM", (18, 19, 20, 21), (22, 23, 24, 25), 1, 0xFFFFFFFF, 0, "BMP"),
    (b"RIFF....WEBPVP8 ", (26, 27), (28, 29), 1, 0x3FFF, 0, "WebP"),
    (b"RIFF....WEBPVP8L", (21, 22), (21, 22, 23, 24), 2**14, 0x3FFF, 1, "WebP"),
    (b"RIFF....WEBPVP8X", (24, 25, 26), (27, 28, 29), 1, 0xFFFFFF, 1, "WebP"),
)


def picture_format(start: bytes) -> str | None:
    """The format that the first `HEADER_BYTES` of a file announce, None for no picture's."""
    magics = [(_JPEG_START, "JPEG"), *((row[0], row[-1]) for row in _FORMATS)]
    for magic, name in magics:
        pairs = zip(magic, start, strict=False)
        if len(start) >= len(magic) and all(byte in (ord("."), found) for byte, found in pairs):
            return name
    return None


def is_jpeg(encoded: tf.Tensor) -> tf.Tensor:
    """Whether a scalar string starts like a JPEG, whatever its file was called."""
    return tf.equal(tf.strings.substr(encoded, 0, 3), _JPEG_START)


def is_whole_jpeg(encoded: tf.Tensor) -> tf.Tensor:
    """Whether a scalar string starts and ends like a JPEG; an interrupted download does not."""
    # `substr` refuses a position before the start, which the empty string would have.
    end = tf.maximum(tf.strings.length(encoded) - 2, 0)
    return is_jpeg(encoded) & tf.equal(tf.strings.substr(encoded, end, 2), _JPEG_END)


def refuse_stump(encoded: tf.Tensor) -> tf.Tensor:
    """Returns a JPEG unchanged; fails if it is cut off so early that no part can be decoded.

    libjpeg would write "Improper call to JPEG library" to stderr for each of these.

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

    # Markers are searched only where the file does not end like a JPEG.
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
      tf.errors.InvalidArgumentError: a JPEG without a readable header, a GIF without a frame.
    """
    return tf.cond(
        is_jpeg(encoded),
        lambda: _jpeg_pixels(encoded),
        lambda: still_pixels(still(encoded)),
    )


def still(encoded: tf.Tensor) -> tf.Tensor:
    """A GIF's first frame, which has its own size in the header; another picture unchanged.

    Raises:
      tf.errors.InvalidArgumentError: a GIF without a frame.
    """
    is_gif = tf.equal(tf.strings.substr(encoded, 0, 4), _GIF_START)
    return tf.cond(is_gif, lambda: only_first_frame(encoded), lambda: encoded)


def is_animated_webp(encoded: tf.Tensor) -> tf.Tensor:
    """Whether a scalar string starts like a WebP of several pictures, which is not decoded."""
    data = tf.io.decode_raw(encoded, tf.uint8, fixed_length=HEADER_BYTES)
    is_extended = tf.reduce_all((data == _MAGIC[-1]) | _ANY[-1])
    return is_extended & tf.not_equal(data[_WEBP_FLAGS] & _WEBP_ANIMATION, 0)


def num_pixels(shape: tf.Tensor) -> tf.Tensor:
    """Height times width, int64, of an int32 shape `[height, width, channels]`."""
    return tf.reduce_prod(tf.cast(shape[:2], tf.int64))


def has_many_scans(encoded: tf.Tensor, pixels: tf.Tensor) -> tf.Tensor:
    """Whether a JPEG, a scalar string, has more scans than a coder writes.

    Args:
      pixels: of the picture, int64.
    """

    def count():
        marker = bytes((0xFF, _SCAN))
        return tf.size(tf.strings.split(encoded, marker)) - 1 > _MAX_SCANS

    return tf.cond(may_take_long(encoded, pixels), count, lambda: tf.constant(False))


def may_take_long(encoded: tf.Tensor, pixels: tf.Tensor) -> tf.Tensor:
    """Whether a JPEG could be too large to decode, or could have too many scans."""
    work = pixels * tf.cast(tf.strings.length(encoded), tf.int64)
    return (pixels > MAX_PIXELS) | (work > _UNCOUNTED)


def _jpeg_pixels(encoded):
    return num_pixels(tf.image.extract_jpeg_shape(refuse_stump(encoded)))


def still_pixels(encoded: tf.Tensor) -> tf.Tensor:
    """`announced_pixels` of what `still` returned, not a JPEG."""
    data = tf.io.decode_raw(encoded, tf.uint8, fixed_length=HEADER_BYTES)
    matches = tf.reduce_all((data == _MAGIC) | _ANY, axis=1)
    sides = tf.reduce_sum(tf.cast(data, tf.int64) * _WEIGHTS, axis=2)
    # The height of a BMP that is stored from top to bottom is negative.
    sides = tf.minimum(sides, 2**32 - sides)
    sides = tf.bitwise.bitwise_and(sides // _DIVISORS, _MASKS) + _ADDENDS
    return tf.reduce_sum(tf.where(matches, sides[0] * sides[1], 0))


def _weights(places: tuple[int, ...]) -> list[int]:
    """The factor of each byte of the header in the number that is stored at `places`."""
    return [256 ** places.index(i) if i in places else 0 for i in range(HEADER_BYTES)]


_STARTS = [row[0].ljust(HEADER_BYTES, b".") for row in _FORMATS]
_MAGIC = np.array([list(start) for start in _STARTS], np.uint8)
_ANY = ord(".") == _MAGIC
_WEIGHTS = np.array([[_weights(row[side]) for row in _FORMATS] for side in (1, 2)])
_DIVISORS = np.array([[1] * len(_FORMATS), [row[3] for row in _FORMATS]])
_MASKS = np.array([row[4] for row in _FORMATS])
_ADDENDS = np.array([row[5] for row in _FORMATS])
