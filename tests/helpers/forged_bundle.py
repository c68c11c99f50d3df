"""The `.index` of a TensorFlow checkpoint taken apart and put together, with checksums that fit.

A sorted table of LevelDB: blocks of entries, each a key whose first bytes are those of the key
before it, and a value; behind each block a byte for its compression (none here) and a checksum.
The value of key "" is the header; those of the others are `BundleEntryProto`s.
"""

import struct

from efficientnet_tf.data.sources.framing import _masked_crc32c

_MAGIC = struct.pack("<Q", 0xDB4775248B80FB57)
_FOOTER_BYTES = 48


def varint(number: int) -> bytes:
    """A number as protocol buffers write it; a negative one as its 64 bits."""
    number %= 1 << 64
    parts = []
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        number |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 128:
            return number, at


def _block(table: bytes, handle: bytes) -> dict[bytes, bytes]:
    offset, at = _read_varint(handle, 0)
    size, _ = _read_varint(handle, at)
    block = table[offset : offset + size]
    end = len(block) - 4 - 4 * struct.unpack("<I", block[-4:])[0]
    entries, key, at = {}, b"", 0
    while at < end:
        shared, at = _read_varint(block, at)
        unshared, at = _read_varint(block, at)
        length, at = _read_varint(block, at)
        key = key[:shared] + block[at : at + unshared]
        at += unshared + length
        entries[key] = block[at - length : at]
    return entries


def read_table(table: bytes) -> dict[bytes, bytes]:
    """The entries of a table, by key."""
    footer, at = table[-_FOOTER_BYTES:], 0
    for _ in range(2):  # the handle of the index of names that nobody uses
        _, at = _read_varint(footer, at)
    entries: dict[bytes, bytes] = {}
    for handle in _block(table, footer[at:]).values():
        entries |= _block(table, handle)
    return entries


def write_table(entries: dict[bytes, bytes]) -> bytes:
    """A table of one block."""
    table, handles = b"", []
    for content in (entries, {}):
        table, handle = _append(table, content)
        handles.append(handle)
    table, index = _append(table, {max(entries) + b"\xff": handles[0]})
    return table + (handles[1] + index).ljust(_FOOTER_BYTES - len(_MAGIC), b"\0") + _MAGIC


def _append(table: bytes, entries: dict[bytes, bytes]) -> tuple[bytes, bytes]:
    block, restarts = b"", []
    for key, value in sorted(entries.items()):
        restarts.append(len(block))
        block += b"\0" + varint(len(key)) + varint(len(value)) + key + value
    restarts = restarts or [0]
    block += struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts))
    handle = varint(len(table)) + varint(len(block))
    return table + block + b"\0" + struct.pack("<I", _masked_crc32c(block + b"\0")), handle


def shape(*sides: int) -> bytes:
    """The field `shape` of a `BundleEntryProto`, which replaces the one before it when appended."""
    dims = b"".join(b"\x12" + _sized(b"\x08" + varint(side)) for side in sides)
    return b"\x12" + _sized(dims)


def _sized(content: bytes) -> bytes:
    return varint(len(content)) + content
