"""The files of a TFRecord data set: are they all there, and how many records do they hold?"""

import os
import re
import struct
from concurrent.futures import ThreadPoolExecutor

import tensorflow as tf

from efficientnet_tf.config import UserError

_SHARD_NAME = re.compile(r"(?P<split>.+)-(?P<number>\d{5})-of-(?P<total>\d{5})$")
_LENGTH_BYTES, _CHECKSUM_BYTES = 8, 4
_NAMED_AT_MOST = 3
_COUNTING_THREADS = 16


def find_shards(data_dir: str, split: str) -> list[str]:
    """The sorted paths of `split-00000-of-NNNNN` and its siblings, [] if there is none.

    Raises:
      UserError: some of the NNNNN are missing, or there are shards of two different totals.
    """
    names = [name for name in tf.io.gfile.listdir(data_dir) if name.startswith(f"{split}-")]
    shards = {name: match for name in names if (match := _SHARD_NAME.match(name))}
    totals = {int(match["total"]) for match in shards.values()}
    if len(totals) > 1:
        raise UserError(
            f"--data_dir={data_dir} mixes {split} sets of {' and '.join(map(str, sorted(totals)))} "
            "shards; keep one"
        )
    for total in totals:
        expected = [f"{split}-{number:05}-of-{total:05}" for number in range(total)]
        missing = [name for name in expected if name not in shards]
        if missing:
            raise UserError(f"--data_dir={data_dir}: {len(missing)} of {total} {split} shards are "
                            f"missing: {_shorten(missing)}")  # fmt: skip
    return [os.path.join(data_dir, name) for name in sorted(shards)]


def count_records(paths: list[str]) -> dict[str, int]:
    """Records in each shard, by walking from length to length without reading what lies between.

    Raises:
      UserError: a shard ends inside a record.
    """
    with ThreadPoolExecutor(_COUNTING_THREADS) as pool:
        return dict(zip(paths, pool.map(_count, paths), strict=True))


def _count(path: str) -> int:
    size = tf.io.gfile.stat(path).length
    count = offset = 0
    with tf.io.gfile.GFile(path, "rb") if "://" in path else open(path, "rb") as shard:
        while offset < size:
            shard.seek(offset)
            header = shard.read(_LENGTH_BYTES)
            if len(header) == _LENGTH_BYTES:
                (length,) = struct.unpack("<Q", header)
                offset += _LENGTH_BYTES + length + 2 * _CHECKSUM_BYTES
            if len(header) < _LENGTH_BYTES or offset > size:
                raise UserError(
                    f"{path} is damaged or cut short: record {count} runs past the end of the file"
                )
            count += 1
    return count


def _shorten(names: list[str]) -> str:
    more = len(names) - _NAMED_AT_MOST
    return ", ".join(names[:_NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")
