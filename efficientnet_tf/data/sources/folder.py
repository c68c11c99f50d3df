"""Pictures in folders named after their class.

Either `train/<class>/…` and `val/<class>/…` (or `validation`, `test`) under `data_dir`, or just
`<class>/…`. In that case the first fifth of every class is evaluated, its files ordered by the
SHA-256 of "<class>/<file>", with "<seed>/" in front for a seed other than 0. The split is the same
on every machine, and another one for another seed: evaluate with the seed of the training.

Classes are the sorted folder names of the training split. `pictures.listing` says which files are
pictures; one line counts the others.
"""

import hashlib
import os
from collections.abc import Collection

import tensorflow as tf

from efficientnet_tf.config import DataConfig, UserError
from efficientnet_tf.data.pictures.copies import find_copies, leak_warning
from efficientnet_tf.data.pictures.listing import find_pictures, report_left_out
from efficientnet_tf.data.sources.source import IndexedSource, Picture

_EVAL_FOLDERS = ("val", "validation", "test")
_HELD_OUT_SHARE = 1 / 5
# Looking for copies takes a second for ten thousand pictures on a disk. In a bucket every picture
# would be a request, and the more pictures there are, the more have the size of another.
_MAX_SEARCHED = 20_000

# Class name to the paths of its pictures.
Classes = dict[str, list[str]]


class FolderSource(IndexedSource):
    """Undecoded pictures by path; `use_cache` is left to the operating system's own file cache."""

    name = "folder"

    def __init__(self, config: DataConfig):
        super().__init__(config)
        if not config.data_dir or not tf.io.gfile.isdir(config.data_dir):
            raise UserError(f"--data_dir={config.data_dir} is not a folder of pictures")
        left_out: list[str] = []
        train, evaluation = _find_splits(config.data_dir, config.seed, left_out)
        report_left_out(left_out)
        self.label_names = sorted(train or evaluation)
        self.num_classes = len(self.label_names)
        _check_classes(config.data_dir, train, evaluation)
        self.splits = {"train": train, "val": evaluation}
        self._train, self._eval = self._flatten(train), self._flatten(evaluation)
        self.train_size, self.eval_size = len(self._train[0]), len(self._eval[0])

    def _flatten(self, classes: Classes) -> tuple[tf.Tensor, tf.Tensor]:
        """All paths, string `[n]`, and their classes, int32 `[n]`."""
        names = [name for name in self.label_names if name in classes]
        paths = [path for name in names for path in classes[name]]
        labels = [self.label_names.index(name) for name in names for _ in classes[name]]
        return tf.constant(paths, tf.string), tf.constant(labels, tf.int32)

    def check_for_training(self, evaluated: bool) -> list[str]:
        where = f"--data_dir={self.config.data_dir}"
        if not self.train_size:
            raise UserError(f"{where} has no pictures to train on")
        if self.num_classes == 1:
            raise UserError(
                f"{where} has one class only, {self.label_names[0]!r}; name the folder that has a "
                "folder for each class"
            )
        train, evaluation = (_paths(self.splits[split]) for split in ("train", "val"))
        if not evaluation:
            if evaluated:
                raise UserError(
                    f"{where} has no pictures to evaluate: of three in a class one is held out; "
                    "--mode=train does without"
                )
            return []
        warnings = []
        if unseen := [name for name in self.label_names if not self.splits["val"].get(name)]:
            warnings.append(f"no picture of {_some(unseen)} is evaluated")
        if len(train) + len(evaluation) <= _MAX_SEARCHED and "://" not in self.config.data_dir:
            warnings += leak_warning(evaluation, find_copies(train + evaluation))
        return warnings

    def read_train(self, raw) -> Picture:
        return Picture(tf.io.read_file(self.name_train(raw)), tf.gather(self._train[1], raw))

    def read_eval(self, raw) -> Picture:
        return Picture(tf.io.read_file(self.name_eval(raw)), tf.gather(self._eval[1], raw))

    def name_train(self, raw) -> tf.Tensor:
        return tf.gather(self._train[0], raw)

    def name_eval(self, raw) -> tf.Tensor:
        return tf.gather(self._eval[0], raw)


def _find_splits(data_dir: str, seed: int, left_out: list[str]) -> tuple[Classes, Classes]:
    """Training and evaluation pictures; {} for a split that is not there.

    Files that are not pictures are added to `left_out`.
    """
    folders = _folders(data_dir)
    evaluation = next((name for name in _EVAL_FOLDERS if name in folders), None)
    if "train" in folders or evaluation:
        return (
            _list_classes(os.path.join(data_dir, "train"), left_out) if "train" in folders else {},
            _list_classes(os.path.join(data_dir, evaluation), left_out) if evaluation else {},
        )
    train, held_out = {}, {}
    salt = f"{seed}/" if seed else ""
    for name, files in _list_classes(data_dir, left_out).items():
        files = sorted(files, key=lambda path, name=name: _digest(f"{salt}{name}", path))
        count = round(len(files) * _HELD_OUT_SHARE)
        held_out[name], train[name] = files[:count], files[count:]
    return train, held_out


def _check_classes(data_dir: str, train: Classes, evaluation: Classes) -> None:
    """Every class that is evaluated must be trained; the other way round is usable."""
    unknown = sorted(set(evaluation) - set(train)) if train else []
    if unknown:
        unseen = sorted(set(train) - set(evaluation))
        others = f"; of {_some(unseen)} there are none to evaluate" if unseen else ""
        raise UserError(
            f"--data_dir={data_dir} has pictures of {_some(unknown)} to evaluate but none to train "
            f"on{others}"
        )


def _some(names: Collection[str]) -> str:
    """The first three names, and how many more there are."""
    *first, last = [repr(name) for name in names][:3]
    if len(names) > 3:
        return f"{', '.join([*first, last])} and {len(names) - 3} more classes"
    return f"{', '.join(first)} and {last}" if first else last


def _paths(classes: Classes) -> list[str]:
    return [path for paths in classes.values() for path in paths]


def _digest(prefix: str, path: str) -> str:
    return hashlib.sha256(f"{prefix}/{os.path.basename(path)}".encode()).hexdigest()


def _list_classes(folder: str, left_out: list[str]) -> Classes:
    names = _folders(folder)
    if not names:
        raise UserError(f"{folder} has no folders of pictures, one for each class")
    classes = {}
    for name in names:
        classes[name], others = find_pictures(os.path.join(folder, name))
        left_out += others
    empty = [name for name in names if not classes[name]]
    if empty:
        raise UserError(
            f"{len(empty)} class folder(s) without a picture, {os.path.join(folder, empty[0])} for "
            "one: fill or remove"
        )
    return classes


def _folders(folder: str) -> list[str]:
    """Sorted names of the folders in a folder; gfile ends some with a slash."""
    names = sorted(name.rstrip("/") for name in tf.io.gfile.listdir(folder))
    visible = [name for name in names if not name.startswith(".")]
    return [name for name in visible if tf.io.gfile.isdir(os.path.join(folder, name))]
