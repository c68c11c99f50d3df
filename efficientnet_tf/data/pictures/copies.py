"""Pictures that are there twice: files of the same content."""

import hashlib
from collections.abc import Callable, Collection, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor

import tensorflow as tf

_READING_THREADS = 16


def find_copies(paths: Sequence[str]) -> dict[str, str]:
    """The files whose content (SHA-256) another file before them has: `{copy: first}`.

    Only files of equal size are read. Ten thousand photos take a second.
    """
    same_size = _groups(paths, _size)
    same_content = _groups([path for group in same_size for path in group], _digest)
    return {copy: group[0] for group in same_content for copy in group[1:]}


def leak_warning(evaluation: Collection[str], copies: dict[str, str]) -> list[str]:
    """One line if pictures to evaluate are trained on too, else none.

    Args:
      evaluation: the paths of that split.
      copies: what `find_copies` found, in the training split first.
    """
    split = set(evaluation)
    shared = [(copy, file) for copy, file in copies.items() if copy in split and file not in split]
    if not shared:
        return []
    return [
        f"{len(shared)} of {len(evaluation)} pictures to evaluate are trained on too, so the "
        "accuracy flatters: {} is {}".format(*shared[0])
    ]


def _groups(paths: Sequence[str], key: Callable[[str], Hashable]) -> list[list[str]]:
    """The files that share their key with another, in the order of `paths`."""
    groups: dict[Hashable, list[str]] = {}
    with ThreadPoolExecutor(_READING_THREADS) as pool:
        for path, value in zip(paths, pool.map(key, paths), strict=True):
            groups.setdefault(value, []).append(path)
    return [group for group in groups.values() if len(group) > 1]


def _size(path: str) -> int:
    return tf.io.gfile.stat(path).length


def _digest(path: str) -> bytes:
    with tf.io.gfile.GFile(path, "rb") as file:
        return hashlib.sha256(file.read()).digest()
