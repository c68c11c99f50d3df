"""Any data set as TFRecord shards in the original's layout, which are read in sequence and fast.

Pictures are kept byte for byte, so that an evaluation of the shards is that of the pictures. One
process writes all shards with `prepare`. Many machines write them apart, each shard a call of
`prepare_shard` of its own, and `finish` adds the manifest: the files are the same.
"""

import functools
import hashlib
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import tensorflow as tf

from efficientnet_tf.config import DataConfig, UserError
from efficientnet_tf.data.pictures.file_names import list_names
from efficientnet_tf.data.records import Record, example, records
from efficientnet_tf.data.sources import open_source
from efficientnet_tf.data.sources.manifest import (
    MANIFEST,
    UNFINISHED,
    Manifest,
    Shard,
    read_manifest,
    sha256,
)
from efficientnet_tf.data.sources.source import StreamSource

_IMAGENET_SIZE, _IMAGENET_SHARDS = 1_000_000, {"train": 1024, "validation": 128}
_IMAGES_PER_SHARD = 1250  # as many as ImageNet's


def default_shards(sizes: Mapping[str, int]) -> dict[str, int]:
    """Shards for each split that has images: ImageNet's 1024 and 128, fewer for smaller sets."""
    if sizes["train"] >= _IMAGENET_SIZE:
        wanted = _IMAGENET_SHARDS
    else:
        wanted = {split: -(-size // _IMAGES_PER_SHARD) for split, size in sizes.items()}
    return {split: wanted[split] for split, size in sizes.items() if size}


def split_sizes(source: StreamSource) -> dict[str, int]:
    """Images of `train` and `validation`, 0 for a split that is not there."""
    return {"train": source.num_train_images or 0, "validation": source.num_eval_images or 0}


def prepare(
    source: StreamSource,
    folder: str | os.PathLike[str],
    num_shards: Mapping[str, int],
    synsets: Mapping[str, str] | None = None,
    progress: Callable[[int], None] = lambda count: None,
) -> Manifest:
    """Writes the shards that are not there yet, and `manifest.json` when all of them are.

    A shard is written under another name and then renamed, so that an interrupted preparation goes
    on where it was. The training images are in the order of epoch 0 of `config.seed`.

    Args:
      source: with names of its classes, one label for each picture.
      folder: where they go.
      num_shards: of each split.
      synsets: the names of classes in words, for classes that are WordNet ids.
      progress: is told how many images are done, those of an earlier call included.

    Raises:
      UserError: the folder has shards of something else, or a picture cannot be decoded and
        `config.max_bad_examples` are left out already.
    """
    folder = os.fspath(folder)
    tf.io.gfile.makedirs(folder)
    manifest = _begin(folder, _fresh(source, num_shards))
    job = _Job(source, synsets or {}, progress)
    plans = plan_shards(source, num_shards)
    for split in num_shards:
        shards = manifest.splits.setdefault(split, [])
        left = [plan for plan in plans if plan.split == split][len(shards) :]
        start = left[0].start if left else split_sizes(source)[split]
        job.skip(start, manifest.num_images(split))
        stream = records(source, split, start)
        for plan in left:
            shards.append(job.write_shard(plan, folder, stream))
            manifest.save(folder, UNFINISHED)
    manifest.save(folder, MANIFEST)
    if tf.io.gfile.exists(unfinished := os.path.join(folder, UNFINISHED)):
        tf.io.gfile.remove(unfinished)
    return manifest


@dataclass(frozen=True)
class ShardPlan:
    """Which images of a split a shard has, in the order of `records`.

    Attributes:
      split: `train` or `validation`.
      place, total: the shard's number, and how many there are.
      start, stop: the first image, and the one after the last.
    """

    split: str
    place: int
    total: int
    start: int
    stop: int

    @property
    def file(self) -> str:
        """The shard's name."""
        return f"{self.split}-{self.place:05}-of-{self.total:05}"


def plan_shards(source: StreamSource, num_shards: Mapping[str, int]) -> list[ShardPlan]:
    """The images of every split, divided evenly."""
    sizes = split_sizes(source)
    return [
        ShardPlan(
            split, place, total, sizes[split] * place // total, sizes[split] * (place + 1) // total
        )
        for split, total in num_shards.items()
        for place in range(total)
    ]


def prepare_shard(
    plan: ShardPlan, config: DataConfig, folder: str, synsets: Mapping[str, str] | None = None
) -> Shard:
    """Writes one shard, on any machine that sees the data and the folder.

    Args:
      plan: from `plan_shards`.
      config: of the data.
      folder: where the shard goes; it is there already.
      synsets: as in `prepare`.

    Raises:
      UserError: the data cannot be opened, or more than `config.max_bad_examples` pictures of the
        shard cannot be decoded.
    """
    source = _open(config)
    job = _Job(source, synsets or {}, lambda count: None)
    return job.write_shard(plan, folder, records(source, plan.split, plan.start))


def finish(
    shards: Iterable[Shard], config: DataConfig, folder: str, num_shards: Mapping[str, int]
) -> Manifest:
    """Writes the manifest of shards that `prepare_shard` has written.

    Raises:
      UserError: not all of them are there, or more than `config.max_bad_examples` are left out.
    """
    source, found = _open(config), {shard.file: shard for shard in shards}
    manifest = _fresh(source, num_shards)
    for plan in plan_shards(source, num_shards):
        if plan.file not in found:
            raise UserError(f"{folder}/{plan.file} is missing; prepare it first")
        manifest.splits.setdefault(plan.split, []).append(found[plan.file])
    images = sum(manifest.num_images(split) for split in num_shards)
    left_out = sum(split_sizes(source)[split] for split in num_shards) - images
    if left_out > config.max_bad_examples:
        raise UserError(
            f"pictures that cannot be decoded: {left_out}; --max_bad_examples={left_out} leaves "
            "them out"
        )
    manifest.save(folder, MANIFEST)
    return manifest


@functools.lru_cache(maxsize=1)
def _open(config: DataConfig) -> StreamSource:
    """A machine lists the files once for all of its shards."""
    return open_source(config)


@dataclass
class _Job:
    """The part of `prepare` that counts.

    Attributes:
      source, synsets, progress: as in `prepare`.
      done: pictures read, or skipped as done before.
      left_out: those of them that cannot be decoded.
    """

    source: StreamSource
    synsets: Mapping[str, str]
    progress: Callable[[int], None]
    done: int = 0
    left_out: int = 0

    def skip(self, read: int, written: int) -> None:
        """Counts what an earlier call has done."""
        self.done += read
        self.left_out += read - written

    def write_shard(self, plan: ShardPlan, folder: str, stream: Iterator[Record]) -> Shard:
        """Writes the next images of a stream, those that can be decoded."""
        path, written = os.path.join(folder, plan.file), 0
        with tf.io.TFRecordWriter(f"{path}.unfinished") as writer:
            for record in itertools.islice(stream, plan.stop - plan.start):
                if record.problem:
                    self._leave_out(record)
                else:
                    writer.write(example(record, self.source.label_names, self.synsets))
                    written += 1
                self.done += 1
                self.progress(self.done)
        tf.io.gfile.rename(f"{path}.unfinished", path, overwrite=True)
        length = tf.io.gfile.stat(path).length
        return Shard(plan.file, written, length, sha256(path))

    def _leave_out(self, record: Record) -> None:
        limit = self.source.config.max_bad_examples
        if self.left_out >= limit:
            hint = "" if limit else "; --max_bad_examples=N leaves out up to N"
            raise UserError(f"{record.name} {record.problem}{hint}")
        print(f"left out: {record.name} {record.problem}", file=sys.stderr, flush=True)
        self.left_out += 1


def _fresh(source: StreamSource, num_shards: Mapping[str, int]) -> Manifest:
    return Manifest(list(source.label_names), _made_from(source, num_shards))


def _made_from(source: StreamSource, num_shards: Mapping[str, int]) -> dict[str, object]:
    """What two calls must have in common for one to go on where the other was."""
    return {
        "dataset": source.name,
        "seed": source.config.seed,
        "files": _fingerprint(source),
        "num_images": split_sizes(source),
        "num_shards": dict(num_shards),
        "max_bad_examples": source.config.max_bad_examples,
    }


def _fingerprint(source: StreamSource) -> str | None:
    """Of the names of the data's files in their folder, by class; None for data of other kinds."""
    if not source.splits:
        return None
    folder = source.config.data_dir or ""
    names = {
        split: {
            kind: [path.removeprefix(folder).lstrip("/") for path in paths]
            for kind, paths in kinds.items()
        }
        for split, kinds in source.splits.items()
    }
    return hashlib.sha256(json.dumps(names).encode()).hexdigest()


def _begin(folder: str, fresh: Manifest) -> Manifest:
    """The manifest of an earlier call that was interrupted, or `fresh`."""
    found = read_manifest(folder, UNFINISHED)
    if found is None:
        if any(name.startswith(("train-", "validation-")) for name in list_names(folder)):
            raise UserError(f"{folder} has shards already; name a new folder")
        return fresh
    if (found.classes, found.made_from) != (fresh.classes, fresh.made_from):
        raise UserError(
            f"{folder} was begun with other data or flags; go on with those, or name a new folder"
        )
    found.check_lengths(folder)
    return found
