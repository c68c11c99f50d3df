"""Sources whose examples lie in TFRecord shards, read sequentially.

An epoch's order: the shards permuted, sixteen of them read in turn, record by record, through a
shuffle buffer; every draw is a function of (seed, epoch). With several hosts each reads its own
share of the permuted shards; with fewer shards than hosts all read everything and keep every
`num_shards`-th record. Either way each host takes `num_train_images // num_shards` records an
epoch, so that all of them turn the epoch at the same step.
"""

import abc
from functools import cached_property

import tensorflow as tf

from efficientnet_tf.config import DataConfig, UserError
from efficientnet_tf.data.sources.shards import count_records
from efficientnet_tf.data.sources.source import Example, StreamSource

_READ_BUFFER_BYTES = 8 << 20
_SHARDS_AT_ONCE = 16
# About 230 MB of ImageNet. The original had 1,024 behind 64 shards at once.
_SHUFFLE_RECORDS = 2048


class RecordSource(StreamSource):
    """Training and evaluation shards, and a parser of their records.

    Raw elements: `{"record": string, "file": string, "number": int64}`, the number counting from 0
    within the file.
    """

    def __init__(self, config: DataConfig, train_shards: list[str], eval_shards: list[str]):
        self._config = config
        self.train_shards, self.eval_shards = train_shards, eval_shards

    @abc.abstractmethod
    def parse(self, record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The encoded picture, a scalar string, and the class, 0-based int32."""

    @cached_property
    def num_train_images(self) -> int | None:
        if self._config.num_train_images or not self.train_shards:
            return self._config.num_train_images
        return sum(count_records(self.train_shards).values())

    @cached_property
    def num_eval_images(self) -> int | None:
        if self._config.num_eval_images or not self.eval_shards:
            return self._config.num_eval_images
        return sum(count_records(self.eval_shards).values())

    def train_stream(self, seed: int, start: int, shard: int, num_shards: int) -> tf.data.Dataset:
        if not self.train_shards:
            raise UserError(f"--data_dir={self._config.data_dir} has no training shards, train-*")
        size = self.num_train_images // num_shards
        if not size:
            raise UserError(f"--data_dir={self._config.data_dir} has no training examples")
        epochs = self._cached_epochs if self._config.use_cache else self._read_epochs
        shuffled = epochs(seed, size, shard, num_shards)

        def one_epoch(epoch):
            def tag(index, raw):
                return {"raw": raw, "epoch": epoch, "index": index * num_shards + shard}

            return shuffled(epoch).enumerate().map(tag)

        first, skipped = divmod(start // num_shards, size)
        return tf.data.Dataset.range(first, tf.int64.max).flat_map(one_epoch).skip(skipped)

    def _read_epochs(self, seed, size, shard, num_shards):
        """A function from the epoch to its shuffled records, read from disk each time."""

        def one_epoch(epoch):
            key = tf.stack([tf.constant(seed, tf.int64), epoch])
            shards = tf.random.experimental.stateless_shuffle(self.train_shards, key)
            records = _epoch_records(shards, size, shard, num_shards)
            return records.shuffle(_SHUFFLE_RECORDS, seed=_mix(seed, epoch))

        return one_epoch

    def _cached_epochs(self, seed, size, shard, num_shards):
        """The same from memory: the shards stay with their host, the buffer is the whole epoch."""
        records = _epoch_records(tf.constant(self.train_shards), size, shard, num_shards).cache()
        return lambda epoch: records.shuffle(size, seed=_mix(seed, epoch))

    def eval_stream(self, shard: int, num_shards: int) -> tf.data.Dataset:
        if not self.eval_shards:
            raise UserError(
                f"--data_dir={self._config.data_dir} has no validation shards, validation-*; "
                "--holdout_shards=N evaluates on N training shards"
            )
        limit = self._config.num_eval_images
        shards = tf.constant(self.eval_shards)
        # A limit counts over all hosts, so then every host has to count along.
        if limit is None and len(self.eval_shards) >= num_shards:
            records = _read(shards[shard::num_shards])
        else:
            records = _read(shards)
            if limit is not None:
                records = records.take(limit).apply(tf.data.experimental.assert_cardinality(limit))
            records = records.shard(num_shards, shard)
        return records.cache() if self._config.use_cache else records

    def read_train(self, raw) -> Example:
        image, label = self.parse(raw["record"])
        number = tf.strings.as_string(raw["number"])
        return Example(image, label, tf.stack([raw["file"], "record", number]))

    read_eval = read_train


def _epoch_records(shards: tf.Tensor, size: int, shard: int, num_shards: int) -> tf.data.Dataset:
    """This host's `size` records of an epoch, in the order of the shards."""
    if num_shards == 1:
        records = _read(shards)
    elif shards.shape[0] >= num_shards:
        # Shards differ in length by a few records: a host that runs out starts its own again.
        records = _read(shards[shard::num_shards]).repeat()
    else:
        records = _read(shards).shard(num_shards, shard).repeat()
    return records.take(size).apply(tf.data.experimental.assert_cardinality(size))


def _read(shards: tf.Tensor) -> tf.data.Dataset:
    def read_shard(path):
        records = tf.data.TFRecordDataset(path, buffer_size=_READ_BUFFER_BYTES)
        return records.enumerate().map(
            lambda number, record: {"record": record, "file": path, "number": number}
        )

    return tf.data.Dataset.from_tensor_slices(shards).interleave(
        read_shard,
        cycle_length=_SHARDS_AT_ONCE,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )


def _mix(seed: int, epoch: tf.Tensor) -> tf.Tensor:
    """One int64 from both, because a shuffle buffer takes one: the seed in the upper half."""
    return tf.bitwise.bitwise_or(tf.constant((seed & 0x7FFFFFFF) << 32, tf.int64), epoch)
