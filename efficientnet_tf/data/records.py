"""A picture of any data set as a `tf.train.Example` with the features of the original's conversion.

Pictures are kept byte for byte, and their format is told by content: the original told one PNG and
22 CMYK files by their names, and encoded them again. Pixels that were never encoded become PNG.
"""

import dataclasses
import os
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import tensorflow as tf

from efficientnet_tf.data.bad_examples import evaluation_loader, training_loader
from efficientnet_tf.data.pictures.attempt import attempt
from efficientnet_tf.data.pictures.decode import decoded_size
from efficientnet_tf.data.pictures.headers import HEADER_BYTES, picture_format
from efficientnet_tf.data.sources.source import IndexedSource, StreamSource, shuffled_index


class Record(NamedTuple):
    """What becomes a `tf.train.Example`."""

    encoded: bytes
    label: int
    name: str
    height: int
    width: int
    problem: str


def records(source: StreamSource, split: str, start: int) -> Iterator[Record]:
    """The images of a split in their order from the `start`-th on, read in parallel."""
    training = split == "train"
    own_classes = dataclasses.replace(source.config, num_classes=None)
    loader = (training_loader if training else evaluation_loader)(source, own_classes)

    def inspect(raw):
        image, label = loader.read(raw)
        encoded = image if image.dtype == tf.string else tf.io.encode_png(image)
        return encoded, tf.cast(label, tf.int64), decoded_size(encoded)

    def look(raw):
        nothing = (tf.constant(""), tf.constant(0, tf.int64), [0, 0])
        whole, (encoded, label, size) = attempt(inspect, raw, nothing)
        good = whole & loader.in_range(label)
        problem = tf.cond(good, lambda: tf.constant(""), lambda: loader.describe(raw)[1])
        return encoded, label, loader.name(raw), size, problem

    stream = _training_stream(source, start) if training else _evaluation_stream(source, start)
    for encoded, label, file, size, problem in stream.map(
        look, tf.data.AUTOTUNE
    ).as_numpy_iterator():
        yield Record(encoded, int(label), file.decode(), *map(int, size), problem.decode())


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


def example(record: Record, classes: list[str], synsets: Mapping[str, str]) -> bytes:
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
    ).SerializeToString(deterministic=True)


def _feature(value: int | bytes) -> tf.train.Feature:
    if isinstance(value, int):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
