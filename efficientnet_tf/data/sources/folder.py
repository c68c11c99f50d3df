"""Pictures in folders named after their class.

Either `train/<class>/…` and `val/<class>/…` (or `validation`, `test`) under `data_dir`, or just
`<class>/…`, of which `hold_out` takes a fifth to evaluate.

Classes are the sorted folder names of the training split. `pictures.listing` says which files are
pictures; one line counts the others.

With `multi_label` a picture that lies in several class folders, under the same file name and with
the same content, is one picture with several labels.
"""

import hashlib
import os
from collections.abc import Callable, Iterable

import tensorflow as tf

from efficientnet_tf.config import DataConfig, UserError
from efficientnet_tf.data.pictures.listing import find_pictures, report_left_out
from efficientnet_tf.data.sources.labelled_files import Labelled, LabelledFiles, hold_out

EVAL_NAMES = ("val", "validation", "test")


class FolderSource(LabelledFiles):
    """Pictures whose folder is their label."""

    name = "folder"

    def __init__(self, config: DataConfig):
        if not config.data_dir or not tf.io.gfile.isdir(config.data_dir):
            raise UserError(f"--data_dir={config.data_dir} is not a folder of pictures")
        left_out: list[str] = []
        splits = _find_splits(config, left_out)
        report_left_out(left_out)
        super().__init__(config, *splits)


def _find_splits(config: DataConfig, left_out: list[str]) -> tuple[Labelled, Labelled]:
    """Training and evaluation pictures; {} for a split that is not there.

    Files that are not pictures are added to `left_out`.
    """

    def pictures(*path):
        found = _list_classes(os.path.join(config.data_dir, *path), left_out)
        return _merge_copies(found) if config.multi_label else found

    folders = _folders(config.data_dir)
    evaluation = next((name for name in EVAL_NAMES if name in folders), None)
    if "train" in folders or evaluation:
        return (
            pictures("train") if "train" in folders else {},
            pictures(evaluation) if evaluation else {},
        )
    return hold_out(pictures(), config.seed)


def _list_classes(folder: str, left_out: list[str]) -> dict[str, tuple[str, ...]]:
    names = _folders(folder)
    if not names:
        raise UserError(f"{folder} has no folders of pictures, one for each class")
    pictures: dict[str, tuple[str, ...]] = {}
    empty = []
    for name in names:
        found, others = find_pictures(os.path.join(folder, name))
        pictures |= dict.fromkeys(found, (name,))
        left_out += others
        if not found:
            empty.append(os.path.join(folder, name))
    if empty:
        raise UserError(
            f"{len(empty)} class folder(s) without a picture, {empty[0]} for one: fill or remove"
        )
    return pictures


def _folders(folder: str) -> list[str]:
    """Sorted names of the folders in a folder; gfile ends some with a slash."""
    names = sorted(name.rstrip("/") for name in tf.io.gfile.listdir(folder))
    visible = [name for name in names if not name.startswith(".")]
    return [name for name in visible if tf.io.gfile.isdir(os.path.join(folder, name))]


def _merge_copies(pictures: Labelled) -> Labelled:
    """The first of equal files with the labels of all; only files of the same name are compared."""
    groups = [list(pictures)]
    for key in (os.path.basename, _size, _content):
        groups = [part for group in groups for part in _parted(group, key)]
    merged = {
        group[0]: tuple(sorted({name for path in group for name in pictures[path]}))
        for group in groups
    }
    if several := sum(len(labels) > 1 for labels in merged.values()):
        tf.print(f"{several} of {len(merged)} pictures lie in several class folders")
    return dict(sorted(merged.items(), key=lambda item: (item[1], item[0])))


def _parted(paths: list[str], key: Callable[[str], object]) -> Iterable[list[str]]:
    """The paths in groups of equal key, which is not asked for of a path that is alone."""
    if len(paths) == 1:
        return [paths]
    groups: dict[object, list[str]] = {}
    for path in paths:
        groups.setdefault(key(path), []).append(path)
    return groups.values()


def _size(path: str) -> int:
    return tf.io.gfile.stat(path).length


def _content(path: str) -> bytes:
    with tf.io.gfile.GFile(path, "rb") as file:
        return hashlib.sha256(file.read()).digest()
