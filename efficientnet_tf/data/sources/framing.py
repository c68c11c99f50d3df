"""TFRecord framing: length, checksum of the length, content, checksum of the content.

TensorFlow's reader stops at the first damaged record. The functions here go on from header to
header and check each record by itself, so that one flipped bit costs one record.
"""

import re
import struct
from collections.abc import Iterator
from functools import cache
from itertools import islice
from typing import NamedTuple

import numpy as np
import tensorflow as tf

_LENGTH_BYTES, _HEADER_BYTES, _FOOTER_BYTES = 8, 12, 4
_MASK_DELTA = 0xA282EAD8
_CRC32C_POLYNOMIAL = 0x82F63B78
_REPORTED_OFFSET = re.compile(r"record at (\d+)")


class Frame(NamedTuple):
    """Where a record lies in its file, in bytes.

    `plausible`: its header passes the checksum, and it ends within the file.
    """

    offset: int
    end: int
    plausible: bool

    @property
    def content(self) -> int:
        return self.offset + _HEADER_BYTES


def walk(path: str) -> Iterator[Frame]:
    """The records of a file, from their headers alone.

    After a damaged header the next good one is searched for; everything up to it is one record.
    """
    size = tf.io.gfile.stat(path).length
    # gfile is ten times slower than open, and only needed for files that are not local.
    with tf.io.gfile.GFile(path, "rb") if "://" in path else open(path, "rb") as file:
        offset = 0
        while offset < size:
            file.seek(offset)
            length = _length(file.read(_HEADER_BYTES))
            if length is None:
                end = _next_header(file, offset + 1, size)
            else:
                end = offset + _HEADER_BYTES + length + _FOOTER_BYTES
            yield Frame(offset, min(end, size), length is not None and end <= size)
            offset = end


def read_past_damage(path: str, damaged: bytes) -> tuple[np.ndarray, np.ndarray]:
    """The number of intact records at the start of a file, int64, and the records after those.

    TensorFlow's fast reader finds the first damaged record. Python reads the rest, at 10 MB a
    second, and replaces records that fail their checksum by the bytes `damaged`.
    """
    intact = intact_records(path)
    rest = [read_record(path, frame) or damaged for frame in islice(walk(path), intact, None)]
    return np.int64(intact), np.array(rest, object)


@cache
def intact_records(path: str) -> int:
    """The number of intact records at the start of a file; the first call reads the file."""
    frames = list(walk(path))
    try:
        tf.data.TFRecordDataset(path).reduce(np.int64(0), lambda count, _: count + 1)
    except tf.errors.DataLossError as error:
        offset = int(_REPORTED_OFFSET.search(error.message)[1])
        return next(i for i, frame in enumerate(frames) if offset in (frame.offset, frame.content))
    # The reader takes a header that is cut off by the end of the file for a regular end.
    return len(frames) if not frames or frames[-1].plausible else len(frames) - 1


def read_record(path: str, frame: Frame) -> bytes | None:
    """The content of a record, None if it fails its checksum."""
    if not frame.plausible:
        return None
    with tf.io.gfile.GFile(path, "rb") as file:
        file.seek(frame.content)
        content = file.read(frame.end - _FOOTER_BYTES - frame.content)
        (checksum,) = struct.unpack("<I", file.read(_FOOTER_BYTES))
    return content if checksum == _masked_crc32c(content) else None


def _length(header: bytes) -> int | None:
    """The length in a header, None if its checksum does not fit."""
    if len(header) < _HEADER_BYTES:
        return None
    length, checksum = struct.unpack("<QI", header)
    return length if checksum == _masked_crc32c(header[:_LENGTH_BYTES]) else None


def _next_header(file, start: int, size: int) -> int:
    """Offset of the first good header from `start` on, the size of the file if there is none."""
    file.seek(start)
    data = file.read(size - start)
    # No record has 4 GB, so the upper half of a length is zero: that rules most offsets out.
    zeros = data.find(bytes(4), 4)
    while zeros >= 0:
        if _length(data[zeros - 4 : zeros - 4 + _HEADER_BYTES]) is not None:
            return start + zeros - 4
        zeros = data.find(bytes(4), zeros + 1)
    return size


def _crc32c_table() -> list[int]:
    table = list(range(256))
    for _ in range(8):
        table = [(value >> 1) ^ (_CRC32C_POLYNOMIAL * (value & 1)) for value in table]
    return table


_TABLE = _crc32c_table()


def _masked_crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF
