"""Finds the files of a TFRecord data set and counts their records."""

import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from efficientnet_tf.config import UserError
from efficientnet_tf.data.pictures.file_names import list_names
from efficientnet_tf.data.sources.framing import read_record, walk

_SHARD_NAME = re.compile(r"(?P<split>.+)-(?P<number>\d{5})-of-(?P<total>\d{5})$")
_NAMED_AT_MOST = 3
_THREADS = 16

_Result = TypeVar("_Result")


def find_shards(data_dir: str, split: str) -> list[str]:
    """The sorted paths of `split-00000-of-NNNNN` and its siblings, [] if there is none.

    Raises:
      UserError: some of the NNNNN are missing, or there are shards of two different totals.
    """
    names = [name for name in list_names(data_dir) if name.startswith(f"{split}-")]
    shards = {name: match for name in names if (match := _SHARD_NAME.match(name))}
    totals = sorted({int(match["total"]) for match in shards.values()})
    if len(totals) > 1:
        raise UserError(
            f"--data_dir={data_dir} mixes {split} sets of {' and '.join(map(str, totals))} shards; "
            "keep one"
        )
    for total in totals:
        expected = [f"{split}-{number:05}-of-{total:05}" for number in range(total)]
        missing = [name for name in expected if name not in shards]
        if missing:
            more = len(missing) - _NAMED_AT_MOST
            raise UserError(
                f"--data_dir={data_dir}: {len(missing)} of {total} {split} shards are missing: "
                + ", ".join(missing[:_NAMED_AT_MOST])
                + (f" and {more} more" if more > 0 else "")
            )
    return [os.path.join(data_dir, name) for name in sorted(shards)]


def count_records(paths: list[str]) -> dict[str, int]:
    """Records in each shard, damaged ones included; reads their headers only."""
    return _count(paths, lambda frame: True)


def count_whole_records(paths: list[str]) -> dict[str, int]:
    """Records in each shard but those that are cut off by the end of the file."""
    return _count(paths, lambda frame: frame.plausible)


def _count(paths, counts):
    def count(path):
        return sum(counts(frame) for frame in walk(path))

    return of_each(paths, count)


def of_each(paths: list[str], function: Callable[[str], _Result]) -> dict[str, _Result]:
    """What a function says of each path; many calls at once, as in a bucket each takes its time."""
    with ThreadPoolExecutor(_THREADS) as pool:
        return dict(zip(paths, pool.map(function, paths), strict=True))


def locate(paths: list[str], offset: int) -> tuple[str, int] | None:
    """Path and number of the damaged record that TensorFlow reports at a byte offset.

    The offset is where the record begins if its header is damaged, else where its content begins.
    """
    for path in paths:
        for number, frame in enumerate(walk(path)):
            at_offset = offset in (frame.offset, frame.content)
            if at_offset and read_record(path, frame) is None:
                return path, number
            if frame.offset > offset:
                break
    return None
