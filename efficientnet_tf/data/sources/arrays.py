"""Data sets that are small enough to lie in memory, not encoded."""

import numpy as np
import tensorflow as tf

from efficientnet_tf.config import DataConfig
from efficientnet_tf.data.sources.source import IndexedSource, Picture

# Grey images uint8 [N, H, W, 1] in 0..255 and their classes, int32 [N].
Split = tuple[np.ndarray, np.ndarray]


class ArraySource(IndexedSource):
    """Pictures from arrays, grey ones, which the network sees as RGB.

    Args:
      config: of the data.
      train, evaluation: the splits.
    """

    is_encoded = False

    def __init__(self, config: DataConfig, train: Split, evaluation: Split):
        super().__init__(config)
        self._train, self._eval = train, evaluation
        self.train_size, self.eval_size = len(train[1]), len(evaluation[1])

    def train_class_counts(self) -> tuple[np.ndarray, int]:
        return np.bincount(self._train[1], minlength=self.num_classes or 0), self.train_size

    def read_train(self, raw) -> Picture:
        return _pick(self._train, raw)

    def read_eval(self, raw) -> Picture:
        return _pick(self._eval, raw)

    def name_train(self, raw) -> tf.Tensor:
        return tf.strings.join([f"{self.name}: training image ", tf.strings.as_string(raw)])

    def name_eval(self, raw) -> tf.Tensor:
        return tf.strings.join([f"{self.name}: evaluation image ", tf.strings.as_string(raw)])


def _pick(split: Split, index) -> Picture:
    images, labels = split
    return Picture(tf.tile(tf.gather(images, index), [1, 1, 3]), tf.gather(labels, index))
