"""Writes small TFRecord sets in ImageNet's layout for the tests."""

from pathlib import Path

import numpy as np
import tensorflow as tf


def jpeg(value: int, height: int = 40, width: int = 48) -> bytes:
    """A grey gradient whose mean identifies `value`."""
    ramp = np.linspace(0, 20, width) + 2 * value % 200
    image = np.broadcast_to(ramp[None, :, None], (height, width, 3)).astype(np.uint8)
    return tf.io.encode_jpeg(image, quality=95).numpy()


def record(encoded: bytes, label: int) -> bytes:
    features = {
        "image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[encoded])),
        "image/class/label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def write_shards(folder: Path, split: str, shards: list[list[bytes]]) -> list[str]:
    """One file per list of records; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [str(folder / f"{split}-{i:05}-of-{len(shards):05}") for i in range(len(shards))]
    for path, records in zip(paths, shards, strict=True):
        with tf.io.TFRecordWriter(path) as writer:
            for item in records:
                writer.write(item)
    return paths


def write_imagenet(folder: Path, split: str, shard_sizes: list[int]) -> list[str]:
    """Shards whose records are labelled 1, 2, 3, … across the set, one picture per label."""
    labels = iter(range(1, 1001))
    shards = [[record(jpeg(label := next(labels)), label) for _ in range(n)] for n in shard_sizes]
    return write_shards(folder, split, shards)
