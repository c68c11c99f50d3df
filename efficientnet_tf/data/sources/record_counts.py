"""How many records each shard of a folder holds, where the data set does not say.

They are counted once and kept in a file beside the shards, or in memory if the folder cannot be
written to. A shard whose length or time of modification has changed is counted again.
"""

import json
import os
import sys

import tensorflow as tf

from efficientnet_tf.config import UserError
from efficientnet_tf.data.sources.notice import announced
from efficientnet_tf.data.sources.shards import count_records, of_each

COUNTS = "record_counts.json"

# By the name of the shard: its length in bytes, its time of modification in ns, its records.
_Table = dict[str, list[int]]
_in_memory: dict[str, _Table] = {}


def kept_counts(paths: list[str]) -> dict[str, int] | None:
    """Records in each shard of a folder if all of them are known without reading a shard."""
    table = _known(os.path.dirname(paths[0]))
    if not all(os.path.basename(path) in table for path in paths) or _outdated(paths, table):
        return None
    return {path: table[os.path.basename(path)][-1] for path in paths}


def counted_records(paths: list[str]) -> dict[str, int]:
    """Records in each shard of a folder, damaged ones included; says which shards have none.

    Raises:
      UserError: a shard cannot be read.
    """
    folder = os.path.dirname(paths[0])
    table = _known(folder)
    if outdated := _outdated(paths, table):
        with announced(f"counting the records of {len(outdated):,} shards in {folder}"):
            counts = _count(list(outdated))
        new = {os.path.basename(path): [*outdated[path], counts[path]] for path in outdated}
        _say_what_changed(folder, table, new)
        _keep(folder, {**table, **new})
        table = {**table, **new}
    found = {path: table[os.path.basename(path)][-1] for path in paths}
    empty = [path for path, count in found.items() if not count]
    _say("holds no records: fetch it again, unless it should be empty", empty)
    return found


def _outdated(paths: list[str], table: _Table) -> dict[str, list[int]]:
    """Length and time of the shards that are not in the table as they are now."""
    found = {path: [stat.length, stat.mtime_nsec] for path, stat in _stat(paths).items()}
    known = {path: table.get(os.path.basename(path), [])[:2] for path in paths}
    return {path: now for path, now in found.items() if now != known[path]}


def _stat(paths: list[str]) -> dict:
    return of_each(paths, tf.io.gfile.stat)


def _count(paths: list[str]) -> dict[str, int]:
    try:
        return count_records(paths)
    except (OSError, tf.errors.PermissionDeniedError) as error:
        where = getattr(error, "filename", None) or os.path.dirname(paths[0])
        raise UserError(f"{where} cannot be read: {getattr(error, 'strerror', error)}") from None


def _known(folder: str) -> _Table:
    return {**_in_memory.get(folder, {}), **_read(os.path.join(folder, COUNTS))}


def _read(path: str) -> _Table:
    """The table of a file; what is not a table is counted anew and written over."""
    try:
        with tf.io.gfile.GFile(path) as file:
            table = json.load(file)
        rows = all(len(row) == 3 and all(type(n) is int for n in row) for row in table.values())
    except (tf.errors.OpError, ValueError, AttributeError, TypeError):
        return {}
    return table if rows else {}


def _keep(folder: str, table: _Table) -> None:
    _in_memory[folder] = table
    path = os.path.join(folder, COUNTS)
    own = f"{path}.{os.getpid()}.tmp"  # several workers may count at the same time
    try:
        with tf.io.gfile.GFile(own, "w") as file:
            json.dump(table, file)
        tf.io.gfile.rename(own, path, overwrite=True)
    except tf.errors.OpError:  # a folder that is only for reading
        pass


def _say_what_changed(folder: str, table: _Table, new: _Table) -> None:
    for name, (*_, count) in new.items():
        before = table.get(name, [count])[-1]
        if before != count:
            _say(f"holds {count} records, {before} when last counted", [os.path.join(folder, name)])


def _say(what: str, paths: list[str]) -> None:
    """A warning about some shards that names the first."""
    if paths:
        more = f", and {len(paths) - 1} more like it" if len(paths) > 1 else ""
        print(f"warning: {paths[0]} {what}{more}", file=sys.stderr, flush=True)
