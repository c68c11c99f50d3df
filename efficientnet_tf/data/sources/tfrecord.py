"""ImageNet as the original read it: `train-00000-of-01024 …`, `validation-00000-of-00128 …`.

A folder that `--mode=prepare` wrote has a manifest beside the shards, which knows the classes and
how many records each shard holds.
"""

import dataclasses
import re

import tensorflow as tf

from efficientnet_tf.config import DataConfig, UserError
from efficientnet_tf.data.sources.example_features import features_fault
from efficientnet_tf.data.sources.manifest import (
    UNFINISHED,
    Manifest,
    read_manifest,
)
from efficientnet_tf.data.sources.record_counts import counted_records
from efficientnet_tf.data.sources.records import RecordSource
from efficientnet_tf.data.sources.shards import find_shards
from efficientnet_tf.data.sources.source import IMAGENET_CLASSES, Picture

_WORDNET_ID = re.compile(r"n\d{8}")
_WITH_BACKGROUND = IMAGENET_CLASSES + 1
_KINDS = {"image/encoded": "bytes", "image/class/label": "int64"}
# With defaults that are errors later on, where the record can be named.
_FEATURES = {
    "image/encoded": tf.io.FixedLenFeature([], tf.string, ""),
    "image/class/label": tf.io.FixedLenFeature([], tf.int64, -1),
}


class TFRecordSource(RecordSource):
    """tf.Example records with a picture and a label from 1; label 0 is the background.

    The records do not say how many classes there are: `num_classes` is the manifest's, else the
    configuration's, None where neither says anything. A network of 1,001 classes keeps the
    background; for any other number of classes label 0 is an error like every label out of range.

    `holdout_shards` leading training shards become the evaluation split, the original's "minival".
    As there, `num_train_images` then counts these images too: they are subtracted from it, and
    `num_eval_images` is at most their number. Divergence: the original estimates their number from
    the share of the shards; here the records of the held-out shards are counted.
    """

    name = "tfrecord"
    first_label = 1

    def __init__(self, config: DataConfig):
        if not config.data_dir:
            raise UserError("--dataset=tfrecord needs --data_dir, a folder with train-* shards")
        if not tf.io.gfile.isdir(config.data_dir):
            raise UserError(f"--data_dir={config.data_dir} is not a folder")
        manifest = _checked_manifest(config.data_dir)
        train = find_shards(config.data_dir, "train")
        evaluation = find_shards(config.data_dir, "validation")
        if config.holdout_shards:
            train, evaluation = _hold_out(train, config.holdout_shards)
            config = _without_held_out(config, evaluation)
        if not train and not evaluation:
            raise UserError(f"--data_dir={config.data_dir} has no train-*-of-* or validation-*-of-*"
                            " TFRecord shards")  # fmt: skip
        super().__init__(config, train, evaluation)
        self.num_classes = config.num_classes
        if config.num_classes == _WITH_BACKGROUND:
            self.num_classes = IMAGENET_CLASSES
        if manifest:
            self.num_classes = len(manifest.classes)
            self.label_names = _names(manifest)
            self.shard_sizes = manifest.shard_sizes(config.data_dir)

    def background(self, num_classes: int) -> int:
        if self.num_classes is None:
            return int(num_classes == _WITH_BACKGROUND)
        return super().background(num_classes)

    def parse(self, record: tf.Tensor) -> Picture:
        features = tf.io.parse_single_example(record, _FEATURES)
        return Picture(features["image/encoded"], features["image/class/label"] - self.first_label)

    def fault(self, raw) -> tf.Tensor:
        return features_fault(raw["record"], _KINDS)


def _checked_manifest(folder: str) -> Manifest | None:
    """The manifest of a folder, None where there is none; all of its shards are there."""
    manifest = read_manifest(folder)
    if manifest is None and read_manifest(folder, UNFINISHED):
        raise UserError(
            f"--data_dir={folder} is not finished: run the --mode=prepare that began it again"
        )
    if manifest:
        manifest.check_lengths(folder)
    return manifest


def _names(manifest: Manifest) -> list[str] | None:
    """The names of the classes; None for ImageNet's, of which the package knows better ones."""
    are_ids = all(map(_WORDNET_ID.fullmatch, manifest.classes))
    return None if are_ids and len(manifest.classes) == IMAGENET_CLASSES else manifest.classes


def _without_held_out(config: DataConfig, held_out: list[str]) -> DataConfig:
    """The counts of the configuration, where there are any, with some shards held out."""
    train, evaluation = config.num_train_images, config.num_eval_images
    count = sum(counted_records(held_out).values())
    if train is not None and train <= count:
        raise UserError(
            f"--num_train_images={train} counts the {count} images of "
            f"--holdout_shards={config.holdout_shards} too, and leaves none to train on"
        )
    return dataclasses.replace(
        config,
        num_train_images=None if train is None else train - count,
        num_eval_images=None if evaluation is None else min(evaluation, count),
    )


def _hold_out(train: list[str], count: int) -> tuple[list[str], list[str]]:
    if not 0 < count < len(train):
        raise UserError(
            f"--holdout_shards={count} must leave training shards: there are {len(train)}"
        )
    return train[count:], train[:count]
