"""Sources whose examples lie in TFRecord shards, read sequentially.

An epoch's order: the shards permuted, sixteen of them read in turn, record by record, through a
shuffle buffer; every draw is a function of (seed, epoch). With several hosts each reads its own
share of the permuted shards; with fewer shards than hosts all read everything and keep every
`host_count`-th record. Either way each host takes `num_train_images // host_count` records an
epoch, so that all of them turn the epoch at the same step.
"""

import abc
from functools import cached_property

import tensorflow as tf

from efficientnet_tf.config import DataConfig, UserError
from efficientnet_tf.data.sources.framing import read_past_damage
from efficientnet_tf.data.sources.record_counts import counted_records, kept_counts
from efficientnet_tf.data.sources.source import Picture, StreamSource

_READ_BUFFER_BYTES = 8 << 20
_SHARDS_AT_ONCE = 16
# About 230 MB of ImageNet. The original had 1,024 behind 64 shards at once.
_SHUFFLE_RECORDS = 2048
_HOLD_OUT_EVERY = 10
_DAMAGED = b"\xff"  # not a protocol buffer


class RecordSource(StreamSource):
    """Training and evaluation shards, and a parser of their records.

    Raw elements: `{"record": string, "file": string, "number": int64}`, the number counting from 0
    within the file. With `num_eval_images` the evaluation takes the leading records of the shards,
    as the original does; ImageNet's shards are shuffled, so these are of all classes.

    Attributes:
      train_shards, eval_shards: paths; [] for a split that is not there.
      hold_out: both are the same files, and every tenth record of each is for evaluation.
      shard_sizes: records that each file should hold, None where the data set does not say.
    """

    shard_sizes: dict[str, int] | None = None

    def __init__(
        self,
        config: DataConfig,
        train_shards: list[str],
        eval_shards: list[str],
        hold_out: bool = False,
    ):
        self.config = config
        self.train_shards, self.eval_shards = train_shards, eval_shards
        self.hold_out = hold_out
        self._counted: dict[str, int] = {}

    @abc.abstractmethod
    def parse(self, record: tf.Tensor) -> Picture:
        """One serialized record, a scalar string, read."""

    @cached_property
    def num_train_images(self) -> int | None:
        return self._num_images("num_train_images", self.train_shards, held_out=False)

    @cached_property
    def num_eval_images(self) -> int | None:
        return self._num_images("num_eval_images", self.eval_shards, held_out=True)

    def _num_images(self, flag: str, shards: list[str], held_out: bool) -> int | None:
        """What a flag says, which may be less than there is, or the number of records."""
        said = getattr(self.config, flag)
        if not shards:
            return said
        if not said:
            return self._count(self._sizes(shards), shards, held_out)
        # Shards are not read for a number that was said: it takes minutes in a bucket.
        if sizes := self.shard_sizes or kept_counts(shards):
            there = self._count(sizes, shards, held_out)
            if said > there:
                shortest = min(shards, key=sizes.get)
                raise UserError(
                    f"--{flag}: {said} images announced, the data has only {there} (the shortest "
                    f"shard is {shortest} with {sizes[shortest]}); fetch what is missing, or give "
                    "the right number"
                )
        return said

    def _sizes(self, shards: list[str]) -> dict[str, int]:
        """Records of each shard; what the data set does not say is counted, once."""
        if self.shard_sizes:
            return self.shard_sizes
        if unknown := [path for path in shards if path not in self._counted]:
            self._counted |= counted_records(unknown)
        return self._counted

    def _count(self, sizes: dict[str, int], shards: list[str], held_out: bool) -> int:
        """Records of some shards in one of the splits."""
        counts = [sizes[path] for path in shards]
        if not self.hold_out:
            return sum(counts)
        held = sum(-(-count // _HOLD_OUT_EVERY) for count in counts)
        return held if held_out else sum(counts) - held

    def train_stream(
        self, seed: int, start: int, host_index: int, host_count: int
    ) -> tf.data.Dataset:
        if not self.train_shards:
            raise UserError(f"--data_dir={self.config.data_dir} has no training shards, train-*")
        size = self.num_train_images // host_count
        if not size:
            raise UserError(f"--data_dir={self.config.data_dir} has no training examples")
        epochs = self._cached_epochs if self.config.use_cache else self._read_epochs
        shuffled = epochs(seed, size, host_index, host_count)

        def one_epoch(epoch):
            def tag(index, raw):
                return {"raw": raw, "epoch": epoch, "index": index * host_count + host_index}

            return (
                shuffled(epoch)
                .enumerate()
                .skip(tf.where(epoch == first, tf.constant(skipped, tf.int64), 0))
                .map(tag)
            )

        first, skipped = (tf.constant(n, tf.int64) for n in divmod(start // host_count, size))
        return tf.data.Dataset.range(first, tf.int64.max).flat_map(one_epoch)

    def _read_epochs(self, seed, size, host_index, host_count):
        """A function from the epoch number to its shuffled records, read from disk each time."""

        def one_epoch(epoch):
            key = tf.stack([tf.constant(seed, tf.int64), epoch])
            shards = tf.random.experimental.stateless_shuffle(self.train_shards, key)
            records = self._epoch_records(shards, size, host_index, host_count)
            return _shuffle(records, _SHUFFLE_RECORDS, _mix(seed, epoch))

        return one_epoch

    def _cached_epochs(self, seed, size, host_index, host_count):
        """As `_read_epochs`, but read from disk once.

        Each host has the same shards in every epoch, and its shuffle buffer holds all of them.
        """
        records = self._epoch_records(
            tf.constant(self.train_shards), size, host_index, host_count
        ).cache()
        return lambda epoch: _shuffle(records, size, _mix(seed, epoch))

    def eval_stream(self, host_index: int, host_count: int) -> tf.data.Dataset:
        if not self.eval_shards:
            raise UserError(
                f"--data_dir={self.config.data_dir} has no validation shards, validation-*; "
                "--holdout_shards=N evaluates on N training shards"
            )
        shards, part = self.eval_shards, (host_count, host_index)
        limit = self.config.num_eval_images
        # A limit counts over all hosts, so each of them reads all records and keeps its share.
        if not limit:
            if len(shards) >= host_count:
                shards, part = shards[host_index::host_count], (1, 0)
            limit = self._count(self._sizes(self.eval_shards), shards, held_out=True)
        records = self._read(tf.constant(shards), held_out=True).take(limit)
        records = records.apply(tf.data.experimental.assert_cardinality(limit)).shard(*part)
        return records.cache() if self.config.use_cache else records

    def read_train(self, raw) -> Picture:
        return self.parse(raw["record"])

    def name_train(self, raw) -> tf.Tensor:
        return tf.strings.join([raw["file"], " record ", tf.strings.as_string(raw["number"])])

    read_eval, name_eval = read_train, name_train

    def _epoch_records(self, shards, size, host_index, host_count):
        """This host's `size` records of an epoch, in the order of the shards."""
        if host_count == 1:
            records = self._read(shards, held_out=False)
        elif shards.shape[0] >= host_count:
            # Shards differ in length by a few records; a host that has too few repeats some.
            records = self._read(shards[host_index::host_count], held_out=False).repeat()
        else:
            records = self._read(shards, held_out=False).shard(host_count, host_index).repeat()
        return records.take(size).apply(tf.data.experimental.assert_cardinality(size))

    def _read(self, shards: tf.Tensor, held_out: bool) -> tf.data.Dataset:
        records = tf.data.Dataset.from_tensor_slices(shards).interleave(
            _read_past_damage if self.config.max_bad_examples else _read_strictly,
            cycle_length=_SHARDS_AT_ONCE,
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        if self.hold_out:
            records = records.filter(lambda raw: (raw["number"] % _HOLD_OUT_EVERY == 0) == held_out)
        return records


def _read_strictly(path: tf.Tensor) -> tf.data.Dataset:
    records = tf.data.TFRecordDataset(path, buffer_size=_READ_BUFFER_BYTES)
    return _numbered(records, path)


def _read_past_damage(path: tf.Tensor) -> tf.data.Dataset:
    """Replaces a damaged record by one that cannot be parsed, a bad example like any other.

    To find the damage, the file is read once more when it is opened for the first time.
    """
    intact, rest = tf.numpy_function(
        lambda path: read_past_damage(path.decode(), _DAMAGED), [path], [tf.int64, tf.string]
    )
    start = tf.data.TFRecordDataset(path, buffer_size=_READ_BUFFER_BYTES).take(intact)
    rest = tf.data.Dataset.from_tensor_slices(tf.ensure_shape(rest, [None]))
    return _numbered(start.concatenate(rest), path)


def _numbered(records: tf.data.Dataset, path: tf.Tensor) -> tf.data.Dataset:
    return records.enumerate().map(
        lambda number, record: {"record": record, "file": path, "number": number}
    )


def _shuffle(records: tf.data.Dataset, buffer: int, seed: tf.Tensor) -> tf.data.Dataset:
    """`records` in an order that `seed` alone decides; to be called inside a `tf.data` function.

    TensorFlow mixes its global seed in, and with a global seed of 0 cannot take a tensor for ours.
    This sets the seed of the function's own graph, and of nothing else.
    """
    tf.compat.v1.set_random_seed(1)
    return records.shuffle(buffer, seed=seed)


def _mix(seed: int, epoch: tf.Tensor) -> tf.Tensor:
    """The seed of an epoch's shuffle, one int64: the run's seed in its upper half."""
    return tf.bitwise.bitwise_or(tf.constant((seed & 0x7FFFFFFF) << 32, tf.int64), epoch)
