"""Any data set as TFRecord shards in the original's layout, which are read in sequence and fast.

Records have the features of the original's conversion of ImageNet. Pictures are kept byte for
byte, so that an evaluation of the shards is that of the pictures, and their format is told by
content: the original told one PNG and 22 CMYK files by their names, and encoded them again. Pixels
that were never encoded become PNG.
"""

import hashlib
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import tensorflow as tf

from efficientnet_tf.config import UserError
from efficientnet_tf.data.pictures.attempt import attempt, picture_problem
from efficientnet_tf.data.pictures.decode import decoded_size
from efficientnet_tf.data.pictures.headers import HEADER_BYTES, picture_format
from efficientnet_tf.data.sources.manifest import (
    MANIFEST,
    UNFINISHED,
    Manifest,
    Shard,
    read_manifest,
    sha256,
)
from efficientnet_tf.data.sources.source import IndexedSource, StreamSource, shuffled_index

_IMAGENET_SIZE, _IMAGENET_SHARDS = 1_000_000, {"train": 1024, "validation": 128}
_IMAGES_PER_SHARD = 1250  # as many as ImageNet's


class _Record(NamedTuple):
    """What becomes a `tf.train.Example`."""

    encoded: bytes
    label: int
    name: str
    height: int
    width: int
    problem: str


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
    folder: str,
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
    tf.io.gfile.makedirs(folder)
    manifest = _begin(folder, Manifest(list(source.label_names), _made_from(source, num_shards)))
    job = _Job(source, synsets or {}, progress)
    for split, total in num_shards.items():
        size = split_sizes(source)[split]
        edges = [size * place // total for place in range(total + 1)]
        shards = manifest.splits.setdefault(split, [])
        job.skip(edges[len(shards)], manifest.num_images(split))
        records = _records(source, split, edges[len(shards)])
        for place in range(len(shards), total):
            path = os.path.join(folder, f"{split}-{place:05}-of-{total:05}")
            count = edges[place + 1] - edges[place]
            shards.append(job.write_shard(path, itertools.islice(records, count)))
            manifest.save(folder, UNFINISHED)
    manifest.save(folder, MANIFEST)
    if tf.io.gfile.exists(unfinished := os.path.join(folder, UNFINISHED)):
        tf.io.gfile.remove(unfinished)
    return manifest


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

    def write_shard(self, path: str, records: Iterator[_Record]) -> Shard:
        """Writes the records that can be decoded."""
        written = 0
        with tf.io.TFRecordWriter(f"{path}.unfinished") as writer:
            for record in records:
                if record.problem:
                    self._leave_out(record)
                else:
                    writer.write(_example(record, self.source.label_names, self.synsets))
                    written += 1
                self.done += 1
                self.progress(self.done)
        tf.io.gfile.rename(f"{path}.unfinished", path, overwrite=True)
        length = tf.io.gfile.stat(path).length
        return Shard(os.path.basename(path), written, length, sha256(path))

    def _leave_out(self, record: _Record) -> None:
        limit = self.source.config.max_bad_examples
        if self.left_out >= limit:
            hint = "" if limit else "; --max_bad_examples=N leaves out up to N"
            raise UserError(f"{record.name} {record.problem}{hint}")
        print(f"left out: {record.name} {record.problem}", file=sys.stderr, flush=True)
        self.left_out += 1


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
    """Of the names of the data's files by class; None for data that are not files."""
    if not source.splits:
        return None
    names = {
        split: {k: list(v) for k, v in kinds.items()} for split, kinds in source.splits.items()
    }
    return hashlib.sha256(json.dumps(names).encode()).hexdigest()


def _begin(folder: str, fresh: Manifest) -> Manifest:
    """The manifest of an earlier call that was interrupted, or `fresh`."""
    found = read_manifest(folder, UNFINISHED)
    if found is None:
        if any(name.startswith(("train-", "validation-")) for name in tf.io.gfile.listdir(folder)):
            raise UserError(f"{folder} has shards already; name a new folder")
        return fresh
    if (found.classes, found.made_from) != (fresh.classes, fresh.made_from):
        raise UserError(
            f"{folder} was begun with other data or flags; go on with those, or name a new folder"
        )
    found.check_lengths(folder)
    return found


def _records(source: StreamSource, split: str, start: int) -> Iterator[_Record]:
    """The images of a split in their order from the `start`-th on, read in parallel."""
    training = split == "train"
    read, name = (
        (source.read_train, source.name_train) if training else (source.read_eval, source.name_eval)
    )

    def look(raw):
        image, label = read(raw)
        encoded = image if image.dtype == tf.string else tf.io.encode_png(image)
        decoded, size = attempt(decoded_size, encoded, [0, 0])
        problem = tf.cond(decoded, lambda: tf.constant(""), lambda: picture_problem(encoded))
        return encoded, label, name(raw), size, problem

    stream = _training_stream(source, start) if training else _evaluation_stream(source, start)
    for encoded, label, file, size, problem in stream.map(
        look, tf.data.AUTOTUNE
    ).as_numpy_iterator():
        yield _Record(encoded, int(label), file.decode(), *map(int, size), problem.decode())


def _training_stream(source, start):
    stream = source.train_stream(source.config.seed, start, 0, 1)
    return stream.map(lambda element: element["raw"])


def _evaluation_stream(source, start):
    """Shuffled, where the source can: a part of the shards then has images of all classes."""
    if not isinstance(source, IndexedSource):
        return source.eval_stream(0, 1).skip(start)
    size, epoch = source.eval_size, tf.constant(0, tf.int64)
    places = tf.data.Dataset.range(start, size)
    return places.map(lambda place: shuffled_index(place, size, source.config.seed, epoch))


def _example(record: _Record, classes: list[str], synsets: Mapping[str, str]) -> bytes:
    """The original's features; colour space and channels are those of the decoded picture."""
    name = classes[record.label]
    features = {
        "image/height": record.height,
        "image/width": record.width,
        "image/colorspace": b"RGB",
        "image/channels": 3,
        "image/class/label": record.label + 1,
        "image/class/synset": (name if name in synsets else "").encode(),
        "image/class/text": synsets.get(name, name).encode(),
        "image/format": (picture_format(record.encoded[:HEADER_BYTES]) or "").encode(),
        "image/filename": os.path.basename(record.name).encode(),
        "image/encoded": record.encoded,
    }
    return tf.train.Example(
        features=tf.train.Features(feature={k: _feature(v) for k, v in features.items()})
    ).SerializeToString()


def _feature(value: int | bytes) -> tf.train.Feature:
    if isinstance(value, int):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
