"""What a data source offers: a stream of raw examples and a way to read one, or whole batches.

The stream decides the order; it is sequential and must be cheap. Reading an example (a file, a
record) runs in parallel, together with decoding.
"""

import abc
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from efficientnet_tf.config import DataConfig, UserError

IMAGENET_CLASSES = 1000
# Grows when the same (seed, epoch) comes to mean another order, so that a run that began with the
# old one can say so. In version 1 an `IndexedSource` used `tf.random.experimental.index_shuffle`;
# the order of records has been the same since the beginning.
ORDER_VERSION = 2

_BLOCK = 64
# `index_shuffle` has four rounds of its cipher: with 50,000 pictures in ten classes, 74% of the
# places of an epoch hold the class that they held in the epoch before (chance: 10%). From twelve
# rounds on neither this nor the classes of neighbours within an epoch differ from chance.
_SHUFFLE_ROUNDS = 24
_SHUFFLE_KEY = 498247692  # the first of three words; seed and epoch are the others


class Picture(NamedTuple):
    """A labelled picture, read but not decoded.

    Attributes:
      image: scalar string with an encoded picture, or uint8 `[height, width, 3]`.
      label: scalar class, 0-based, int32 or as wide as the data have it, so that no number outside
        the classes turns into one of them; -1 is the background of ImageNet records. Of multi-label
        data float32 [num_classes], 1 for the classes of the picture and 0 for the others.
    """

    image: tf.Tensor
    label: tf.Tensor


class Source(abc.ABC):
    """A data set of labelled pictures with a training and an evaluation split.

    Attributes:
      name: as in `DataConfig.dataset`.
      num_classes: of the data, background not counted; None where the data do not say.
      label_names: one per class, or None.
      multi_label_reason: None where every picture has one label; of multi-label data a clause that
        says which picture has not.
      splits: of data that are files, the paths by class by split; else None.
    """

    name: str
    num_classes: int | None
    label_names: list[str] | None = None
    multi_label_reason: str | None = None
    splits: Mapping[str, Mapping[str, Sequence[str]]] | None = None

    @property
    def is_multi_label(self) -> bool:
        """Whether pictures have any number of labels."""
        return self.multi_label_reason is not None

    def background(self, num_classes: int) -> int:
        """How much larger than the data's own a label is in a network of `num_classes`.

        Returns:
          0; 1 if the network has one class more than the data, which is then the background.

        Raises:
          UserError: any other number of classes.
        """
        extra = num_classes - self.num_classes
        if self.is_multi_label and extra:
            raise UserError(
                f"--num_label_classes={num_classes}: {self.name} has {self.num_classes} classes, "
                "and without a label a picture is background already"
            )
        if extra not in (0, 1):
            raise UserError(
                f"--num_label_classes={num_classes}: {self.name} has {self.num_classes} classes, "
                f"{self.num_classes + 1} with a background class"
            )
        return extra

    def check_for_training(self, evaluated: bool) -> list[str]:
        """What a person who trains on these data should know, a line each.

        Args:
          evaluated: whether the run evaluates too.

        Raises:
          UserError: such a run cannot work.
        """
        return []

    @property
    @abc.abstractmethod
    def num_train_images(self) -> int | None:
        """Training examples in an epoch, None if that cannot be known."""

    @property
    @abc.abstractmethod
    def num_eval_images(self) -> int | None:
        """Examples of the evaluation split, None if that cannot be known."""

    def train_class_counts(self) -> tuple[np.ndarray, int] | None:
        """How many training pictures each class has, int [num_classes], and all pictures.

        None where it would take reading the data.
        """
        return None


def network_classes(source: Source, config: DataConfig) -> int:
    """Width of the labels: as configured, else the data's own; ImageNet's where neither says."""
    return config.num_classes or source.num_classes or IMAGENET_CLASSES


class BatchSource(Source):
    """A source whose batches are ready for the network: the pipeline adds nothing."""

    @abc.abstractmethod
    def train_batches(
        self, config: DataConfig, batch_size: int, host_index: int
    ) -> tf.data.Dataset:
        """The batches of `pipeline.train_dataset`."""

    @abc.abstractmethod
    def eval_batches(
        self, config: DataConfig, batch_size: int, host_index: int, host_count: int
    ) -> tf.data.Dataset:
        """The batches of `pipeline.eval_dataset`."""


class StreamSource(Source):
    """A source of examples that the pipeline decodes, crops, augments and batches.

    Attributes:
      config: what it was opened with.
      first_label: what class 0 is called in the data's own numbering, for messages.
      is_encoded: whether pictures are encoded, and so may fail to decode.
      is_splittable: whether the workers of a tf.data service can share its training stream.
      order_version: of the order of `train_stream`, up to `ORDER_VERSION`; a run that began with
        another one cannot be resumed exactly.
    """

    config: DataConfig
    first_label: int = 0
    is_encoded: bool = True
    is_splittable: bool = True
    order_version: int = 1

    @abc.abstractmethod
    def train_stream(
        self, seed: int, start: int, host_index: int, host_count: int
    ) -> tf.data.Dataset:
        """The shuffled epochs one after the other, for ever.

        Args:
          seed: of the shuffles; the order within an epoch is a function of (seed, epoch).
          start: examples to skip, counted over all hosts.
          host_index, host_count: which host this is, of how many that share the examples.

        Returns:
          Elements `{"raw": …, "epoch": int64, "index": int64}`; `read_train` takes the raw part,
          and `index` is unique within the epoch over all hosts.
        """

    @abc.abstractmethod
    def eval_stream(self, host_index: int, host_count: int) -> tf.data.Dataset:
        """Every evaluation example once over all hosts, as raw elements for `read_eval`."""

    @abc.abstractmethod
    def read_train(self, raw) -> Picture:
        """One raw element of the training stream, read."""

    @abc.abstractmethod
    def read_eval(self, raw) -> Picture:
        """One raw element of the evaluation stream, read."""

    def fault(self, raw) -> tf.Tensor:
        """Why there is no picture or no label in a raw element, the end of a sentence.

        A scalar string, empty where the form of the data tells nothing.
        """
        return tf.constant("")

    @abc.abstractmethod
    def name_train(self, raw) -> tf.Tensor:
        """What to call it in a message, a scalar string: a file, or a shard and a record."""

    @abc.abstractmethod
    def name_eval(self, raw) -> tf.Tensor:
        """The same for the evaluation stream."""


class IndexedSource(StreamSource):
    """A source that can fetch any example by its number: raw elements are int64 scalars.

    A pseudorandom permutation of the numbers shuffles an epoch: perfectly, without a buffer, and
    with nothing to read when a run is resumed. Each host takes every `host_count`-th example.

    Subclasses set `train_size` and `eval_size`. With `num_train_images` an epoch is that many
    examples, a new random part of the data each time. With `num_eval_images` the evaluation takes
    that many, spread over the classes: the same ones whatever the seed and the number of hosts.
    """

    order_version = ORDER_VERSION
    train_size: int
    eval_size: int

    def __init__(self, config: DataConfig):
        self.config = config

    @property
    def num_train_images(self) -> int | None:
        return _at_most("num_train_images", self.config.num_train_images, self.train_size)

    @property
    def num_eval_images(self) -> int | None:
        return _at_most("num_eval_images", self.config.num_eval_images, self.eval_size)

    def train_stream(
        self, seed: int, start: int, host_index: int, host_count: int
    ) -> tf.data.Dataset:
        epoch_size = self.num_train_images
        if not epoch_size:
            raise UserError(f"--data_dir={self.config.data_dir} has no pictures to train on")

        def place(position):
            epoch, index = position // epoch_size, position % epoch_size
            raw = shuffled_index(index, self.train_size, seed, epoch)
            return {"raw": raw, "epoch": epoch, "index": index}

        # In blocks, because a tf.data service asks for them one by one.
        block = host_count * _BLOCK
        blocks = tf.data.Dataset.range(start + host_index, tf.int64.max - block, block)
        positions = blocks.flat_map(
            lambda first: tf.data.Dataset.range(first, first + block, host_count)
        )
        return positions.map(place)

    def eval_stream(self, host_index: int, host_count: int) -> tf.data.Dataset:
        if not self.num_eval_images:
            raise UserError(f"--data_dir={self.config.data_dir} has no pictures to evaluate")
        if self.num_eval_images == self.eval_size:
            return tf.data.Dataset.range(host_index, self.eval_size, host_count)
        chosen = _spread(self.num_eval_images, self.eval_size)[host_index::host_count]
        return tf.data.Dataset.from_tensor_slices(chosen)


def shuffled_index(index: tf.Tensor, size: int, seed: int, epoch: tf.Tensor) -> tf.Tensor:
    """The number of the example at a place of an epoch: a permutation of 0..size-1.

    Args:
      index: int64 place within the epoch, 0..size-1, a scalar or `[n]`.
      seed, epoch: each pair has a permutation of its own; epoch is an int64 scalar.
    """
    key = tf.stack([tf.constant(_SHUFFLE_KEY, tf.int64), tf.constant(seed, tf.int64), epoch])
    last = tf.constant(size - 1, tf.int64)
    return tf.raw_ops.RandomIndexShuffle(
        index=index, seed=key, max_index=last, rounds=_SHUFFLE_ROUNDS
    )


def _spread(count: int, size: int) -> np.ndarray:
    """`count` of the numbers 0..size-1, int64: a random one from each of `count` equal stretches.

    Examples are sorted by class, so each class keeps its share; the first numbers would be of the
    first classes only. NumPy promises that the draws of RandomState never change.
    """
    edges = np.arange(count + 1, dtype=np.int64) * size // count
    draws = np.random.RandomState(0).random_sample(count)
    return edges[:-1] + (draws * np.diff(edges)).astype(np.int64)


def _at_most(flag: str, wanted: int | None, available: int) -> int | None:
    """How many images of those available are wanted; None if there are none at all."""
    if not available:
        return None
    if wanted is not None and wanted > available:
        raise UserError(f"--{flag}={wanted}: the data has only {available} images")
    return wanted or available
