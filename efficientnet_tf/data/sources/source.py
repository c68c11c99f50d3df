"""What a data source offers: a stream of raw examples and a way to read one, or whole batches.

Streaming is sequential and must be cheap: it decides the order. Reading (looking a file up, parsing
a record) runs in parallel, next to decoding.
"""

import abc
from typing import NamedTuple

import tensorflow as tf

from efficientnet_tf.config import DataConfig, UserError

IMAGENET_CLASSES = 1000
_BLOCK = 64


class Picture(NamedTuple):
    """A labelled picture, read but not decoded.

    Attributes:
      image: scalar string with an encoded picture, or uint8 `[height, width, 3]`.
      label: int32 scalar class, 0-based; -1 is the background of ImageNet records.
    """

    image: tf.Tensor
    label: tf.Tensor


class Source(abc.ABC):
    """A data set of labelled pictures with a training and an evaluation split.

    Attributes:
      name: as in `DataConfig.dataset`.
      num_classes: of the data, background not counted; None where the data do not say.
      label_names: one per class, or None.
    """

    name: str
    num_classes: int | None
    label_names: list[str] | None = None

    def background(self, num_classes: int) -> int:
        """How much larger than the data's own a label is in a network of `num_classes`.

        Returns:
          0; 1 if the network has one class more than the data, which is then the background.

        Raises:
          UserError: any other number of classes.
        """
        extra = num_classes - self.num_classes
        if extra not in (0, 1):
            raise UserError(
                f"--num_label_classes={num_classes}: {self.name} has {self.num_classes} classes, "
                f"{self.num_classes + 1} with a background class"
            )
        return extra

    @property
    @abc.abstractmethod
    def num_train_images(self) -> int | None:
        """Training examples in an epoch, None if that cannot be known."""

    @property
    @abc.abstractmethod
    def num_eval_images(self) -> int | None:
        """Examples of the evaluation split, None if that cannot be known."""


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
    """

    config: DataConfig
    first_label: int = 0
    is_encoded: bool = True

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

    @abc.abstractmethod
    def name_train(self, raw) -> tf.Tensor:
        """What to call it in a message, a scalar string: a file, or a shard and a record."""

    @abc.abstractmethod
    def name_eval(self, raw) -> tf.Tensor:
        """The same for the evaluation stream."""


class IndexedSource(StreamSource):
    """A source that can fetch any example by its number: raw elements are int64 scalars.

    A random bijection over the numbers shuffles an epoch: perfectly, without a buffer, and with
    nothing to read when a run is resumed. Each host takes every `host_count`-th example.

    Subclasses set `train_size` and `eval_size`; an epoch is `num_train_images` examples if that
    flag is set, a new random part of the data each time.
    """

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
            key = tf.stack([tf.constant(seed, tf.int64), epoch])
            raw = tf.random.experimental.index_shuffle(index, key, self.train_size - 1)
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
        return tf.data.Dataset.range(host_index, self.num_eval_images, host_count)


def _at_most(flag: str, wanted: int | None, available: int) -> int | None:
    """How many images of those available are wanted; None if there are none at all."""
    if not available:
        return None
    if wanted is not None and wanted > available:
        raise UserError(f"--{flag}={wanted}: the data has only {available} images")
    return wanted or available
