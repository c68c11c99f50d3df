"""Picture files with one label or several, and the fifth of them that is held out to evaluate."""

import hashlib
import os
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from efficientnet_tf.config import DataConfig, UserError
from efficientnet_tf.data.sources.source import IndexedSource, Picture

_HELD_OUT_SHARE = 1 / 5

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
        unknown = sorted(set(_names(evaluation)) - set(self.label_names))
        if unknown:
            raise UserError(
                f"--data_dir={config.data_dir} has pictures of {unknown[0]!r} to evaluate but none "
                "to train on"
            )
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
