"""Reads the `.index` of a TensorFlow checkpoint, before TensorFlow does.

TensorFlow ends the process where an entry has a negative side or is no entry at all, and allocates
what a shape asks for before it compares it with the bytes there are. The file is a sorted table of
LevelDB: blocks of entries, each a key that begins as the one before it, and a `BundleEntryProto`.
"""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import tensor_bundle_pb2

_MAGIC = struct.pack("<Q", 0xDB4775248B80FB57)
_FOOTER_BYTES = 48
_PLAIN, _SNAPPY = 0, 1
_MAX_BYTES = 64 << 20  # 100 bytes a variable; the largest network has 5,000 with its optimizer
_MAX_RANK = 254  # TensorFlow's own
_MAX_ELEMENTS = 2**62


@dataclass(frozen=True)
class Announced:
    """What the index says of one variable.

    Attributes:
      shape: of its value.
      dtype: TensorFlow's, None for one that this TensorFlow does not know.
    """

    shape: tuple[int, ...]
    dtype: tf.DType | None

    @property
    def is_numeric(self) -> bool:
        """Whether its bytes are the value: not a string, for instance."""
        return self.dtype is not None and (self.dtype.is_floating or self.dtype.is_integer)

    @property
    def num_bytes(self) -> int:
        """Of the value in memory."""
        return math.prod(self.shape) * (self.dtype.size if self.is_numeric else 0)


def read_index(path: str) -> dict[str, Announced]:
    """The variables of a checkpoint.

    Raises:
      ValueError: not such a file, or an entry that cannot be one; says why.
    """
    with tf.io.gfile.GFile(path, "rb") as file:
        if file.size() > _MAX_BYTES:
            raise ValueError("its index is larger than any")
        table = file.read()
    if len(table) < _FOOTER_BYTES or not table.endswith(_MAGIC):
        raise ValueError("its index is cut short or something else")
    try:
        entries = dict(_entries(table))
        return {key.decode(): _announced(key, value) for key, value in entries.items() if key}
    except (IndexError, struct.error, DecodeError, UnicodeDecodeError):
        raise ValueError("its index is damaged") from None


def _entries(table: bytes) -> Iterator[tuple[bytes, bytes]]:
    footer = table[-_FOOTER_BYTES:]
    _, _, at = _handle(footer, 0)  # of an index that nobody uses
    for _, handle in _block(table, footer[at:]):
        yield from _block(table, handle)


def _handle(data: bytes, at: int) -> tuple[int, int, int]:
    """Offset and size of a block, and where the handle ends."""
    offset, at = _varint(data, at)
    size, at = _varint(data, at)
    return offset, size, at


def _block(table: bytes, handle: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The entries of a block."""
    offset, size, _ = _handle(handle, 0)
    compression = table[offset + size]
    block = table[offset : offset + size]
    if compression == _SNAPPY:
        block = _uncompressed(block)
    elif compression != _PLAIN:
        raise ValueError("its index is damaged")
    end = len(block) - 4 - 4 * struct.unpack("<I", block[-4:])[0]
    key, at = b"", 0
    while at < end:
        shared, at = _varint(block, at)
        added, at = _varint(block, at)
        length, at = _varint(block, at)
        key = key[:shared] + block[at : at + added]
        at += added + length
        yield key, block[at - length : at]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of protocol buffers, and where it ends."""
    number = 0
    for shift in range(0, 64, 7):
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise ValueError("its index is damaged")


def _uncompressed(data: bytes) -> bytes:
    """Snappy: literals, and copies of what has come before."""
    length, at = _varint(data, 0)
    output = bytearray()
    while at < len(data) and len(output) <= min(length, _MAX_BYTES):
        tag, at = data[at], at + 1
        count, kind = tag >> 2, tag & 3
        if kind == 0:
            extra = max(count - 59, 0)  # so many bytes hold the count
            count = int.from_bytes(data[at : at + extra], "little") if extra else count
            at += extra + count + 1
            output += data[at - count - 1 : at]
            continue
        extra = (0, 1, 2, 4)[kind]
        back = int.from_bytes(data[at : at + extra], "little")
        if kind == 1:
            back, count = back | (count >> 3) << 8, (count & 7) + 3
        at += extra
        for _ in range(count + 1):
            output.append(output[-back])
    if len(output) != length:
        raise ValueError("its index is damaged")
    return bytes(output)


def _announced(key: bytes, value: bytes) -> Announced:
    entry = tensor_bundle_pb2.BundleEntryProto.FromString(value)
    shape = tuple(dim.size for dim in entry.shape.dim)
    name = ascii(key.decode())
    if entry.shape.unknown_rank or len(shape) > _MAX_RANK or any(side < 0 for side in shape):
        raise ValueError(f"{name} has no shape that a variable can have")
    if math.prod(max(side, 1) for side in shape) > _MAX_ELEMENTS:
        raise ValueError(f"{name} announces more numbers than can be counted")
    try:
        dtype = tf.as_dtype(entry.dtype)
    except TypeError:
        dtype = None
    announced = Announced(shape, dtype)
    if announced.is_numeric and not entry.slices and entry.size != announced.num_bytes:
        raise ValueError(f"{name} has {entry.size} bytes and a shape of {announced.num_bytes}")
    return announced
