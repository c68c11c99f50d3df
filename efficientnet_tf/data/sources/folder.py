"""Pictures in folders named after their class.

Either `train/<class>/…` and `val/<class>/…` (or `validation`, `test`) under `data_dir`, or just
`<class>/…`, of which `hold_out` takes a fifth to evaluate.

Classes are the sorted folder names of the training split. `pictures.listing` says which files are
pictures; one line counts the others.

With `multi_label` files of the same content are one picture, with the labels of all their folders.
"""

import os

import tensorflow as tf

from efficientnet_tf.config import DataConfig, UserError
from efficientnet_tf.data.pictures.copies import find_copies
from efficientnet_tf.data.pictures.file_names import is_text, list_names, shown
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
        try:
            splits = _find_splits(config, left_out)
        finally:  # what was left out may be why a class is empty
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
    """Sorted names of the folders in a folder."""
    names = []
    for name in sorted(list_names(folder)):
        path = os.path.join(folder, name)
        if not is_text(name) and os.path.isdir(path):
            raise UserError(f"{shown(path)}: the folder's name is not UTF-8; rename it")
        if is_text(name) and not name.startswith(".") and tf.io.gfile.isdir(path):
            names.append(name)
    return names


def _merge_copies(pictures: Labelled) -> Labelled:
    """The first of files with the same content, with the labels of all."""
    first = find_copies(list(pictures))
    labels: dict[str, set[str]] = {}
    for path, names in pictures.items():
        labels.setdefault(first.get(path, path), set()).update(names)
    merged = {path: tuple(sorted(names)) for path, names in labels.items()}
    if several := sum(len(names) > 1 for names in merged.values()):
        tf.print(f"{several} of {len(merged)} pictures lie in several class folders")
    return dict(sorted(merged.items(), key=lambda item: (item[1], item[0])))
