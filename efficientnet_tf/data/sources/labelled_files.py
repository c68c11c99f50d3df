"""Picture files with one label or several, and the fifth of them that is held out to evaluate."""

import hashlib
import os
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from efficientnet_tf.config import DataConfig, UserError
from efficientnet_tf.data.pictures.copies import find_copies, leak_warning
from efficientnet_tf.data.sources.source import IndexedSource, Picture

_HELD_OUT_SHARE = 1 / 5
# Looking for copies takes a second for ten thousand pictures on a disk. In a bucket every picture
# would be a request, and the more pictures there are, the more have the size of another.
_MAX_SEARCHED = 20_000

# Path of each picture to the sorted names of its labels.
Labelled = Mapping[str, tuple[str, ...]]


class _Split(NamedTuple):
    """Paths, string [n], and the classes of each picture, ragged int32 [n, 1 or other numbers]."""

    paths: tf.Tensor
    classes: tf.RaggedTensor


class LabelledFiles(IndexedSource):
    """Undecoded pictures by path; `use_cache` is left to the operating system's own file cache.

    Args:
      config: what the source is opened with.
      train, evaluation: the splits; {} for one that is not there. The classes are the sorted labels
        of the first that is.

    Raises:
      UserError: a class that is only to be evaluated.
    """

    def __init__(self, config: DataConfig, train: Labelled, evaluation: Labelled):
        super().__init__(config)
        self.label_names = _names(train or evaluation)
        self.num_classes = len(self.label_names)
        self.splits = {"train": _by_class(train), "val": _by_class(evaluation)}
        _check_classes(config.data_dir, self.splits)
        several = (path for split in (train, evaluation) for path in split if len(split[path]) != 1)
        if path := next(several, None):
            self.multi_label_reason = f"{path} has {len({**train, **evaluation}[path])} labels"
        self._train, self._eval = self._split(train), self._split(evaluation)
        self.train_size, self.eval_size = len(train), len(evaluation)

    def _split(self, pictures: Labelled) -> _Split:
        numbers = {name: number for number, name in enumerate(self.label_names)}
        classes = [numbers[name] for labels in pictures.values() for name in labels]
        counts = [len(labels) for labels in pictures.values()]
        return _Split(
            tf.constant(list(pictures), tf.string),
            tf.RaggedTensor.from_row_lengths(tf.constant(classes, tf.int32), counts),
        )

    def check_for_training(self, evaluated: bool) -> list[str]:
        where = f"--data_dir={self.config.data_dir}"
        if not self.train_size:
            raise UserError(f"{where} has no pictures to train on")
        if self.num_classes == 1 and not self.is_multi_label:
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

    def train_class_counts(self) -> tuple[np.ndarray, int]:
        classes = self._train.classes.values.numpy()
        return np.bincount(classes, minlength=self.num_classes), self.train_size

    def read_train(self, raw) -> Picture:
        return self._read(self._train, raw)

    def read_eval(self, raw) -> Picture:
        return self._read(self._eval, raw)

    def _read(self, split: _Split, raw) -> Picture:
        image = tf.io.read_file(tf.gather(split.paths, raw))
        if not self.is_multi_label:
            return Picture(image, tf.gather(split.classes.values, raw))
        return Picture(image, tf.reduce_sum(tf.one_hot(split.classes[raw], self.num_classes), 0))

    def name_train(self, raw) -> tf.Tensor:
        return tf.gather(self._train.paths, raw)

    def name_eval(self, raw) -> tf.Tensor:
        return tf.gather(self._eval.paths, raw)


def _names(pictures: Labelled) -> list[str]:
    return sorted({name for labels in pictures.values() for name in labels})


def _by_class(pictures: Labelled) -> dict[str, list[str]]:
    classes: dict[str, list[str]] = {}
    for path, labels in pictures.items():
        for name in labels:
            classes.setdefault(name, []).append(path)
    return classes


def _paths(classes: Mapping[str, Sequence[str]]) -> list[str]:
    return list(dict.fromkeys(path for paths in classes.values() for path in paths))


def _check_classes(data_dir: str | None, splits: Mapping[str, Mapping]) -> None:
    """Every class that is evaluated must be trained; the other way round is usable."""
    train, evaluation = set(splits["train"]), set(splits["val"])
    unknown = sorted(evaluation - train) if train else []
    if unknown:
        unseen = sorted(train - evaluation)
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


def hold_out(pictures: Labelled, seed: int) -> tuple[Labelled, Labelled]:
    """Pictures to train on, and a fifth of every label to evaluate.

    A label's pictures are taken in the order of the SHA-256 of "<label>/<file>", with "<seed>/" in
    front for a seed other than 0: the split is the same on every machine, and another one for
    another seed. The rarest labels choose first; a picture that they hold out counts for its other
    labels too.
    """
    salt = f"{seed}/" if seed else ""

    def place(path):
        text = f"{salt}{'/'.join(pictures[path])}/{os.path.basename(path)}"
        return pictures[path], hashlib.sha256(text.encode()).hexdigest()

    ordered = sorted(sorted(pictures), key=place)
    by_label: dict[str, list[str]] = {}
    for path in ordered:
        for label in pictures[path] or ("",):
            by_label.setdefault(label, []).append(path)
    held: set[str] = set()
    for paths in sorted(by_label.values(), key=len):
        left = [path for path in paths if path not in held]
        missing = round(len(paths) * _HELD_OUT_SHARE) - (len(paths) - len(left))
        held.update(left[: max(missing, 0)])
    train = {path: pictures[path] for path in ordered if path not in held}
    return train, {path: pictures[path] for path in ordered if path in held}
