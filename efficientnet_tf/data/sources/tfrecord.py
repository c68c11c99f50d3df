"""ImageNet as the original read it: `train-00000-of-01024 …`, `validation-00000-of-00128 …`."""

import tensorflow as tf

from efficientnet_tf.config import DataConfig, UserError
from efficientnet_tf.data.sources.records import RecordSource
from efficientnet_tf.data.sources.shards import find_shards
from efficientnet_tf.data.sources.source import IMAGENET_CLASSES, Picture

_WITH_BACKGROUND = IMAGENET_CLASSES + 1
# With defaults that are errors later on, where the record can be named.
_FEATURES = {
    "image/encoded": tf.io.FixedLenFeature([], tf.string, ""),
    "image/class/label": tf.io.FixedLenFeature([], tf.int64, -1),
}


class TFRecordSource(RecordSource):
    """tf.Example records with a picture and a label from 1; label 0 is the background.

    The records do not say how many classes there are: `num_classes` is the configuration's, None
    where it says nothing. A network of 1,001 classes keeps the background; for any other number of
    classes label 0 is an error like every label out of range. `holdout_shards` leading training
    shards become the evaluation split, the original's "minival".
    """

    name = "tfrecord"
    first_label = 1

    def __init__(self, config: DataConfig):
        if not config.data_dir:
            raise UserError("--dataset=tfrecord needs --data_dir, a folder with train-* shards")
        if not tf.io.gfile.isdir(config.data_dir):
            raise UserError(f"--data_dir={config.data_dir} is not a folder")
        train = find_shards(config.data_dir, "train")
        evaluation = find_shards(config.data_dir, "validation")
        if config.holdout_shards:
            train, evaluation = _hold_out(train, config.holdout_shards)
        if not train and not evaluation:
            raise UserError(f"--data_dir={config.data_dir} has no train-*-of-* or validation-*-of-*"
                            " TFRecord shards")  # fmt: skip
        super().__init__(config, train, evaluation)
        self.num_classes = config.num_classes
        if config.num_classes == _WITH_BACKGROUND:
            self.num_classes = IMAGENET_CLASSES

    def background(self, num_classes: int) -> int:
        if self.num_classes is None:
            return int(num_classes == _WITH_BACKGROUND)
        return super().background(num_classes)

    def parse(self, record: tf.Tensor) -> Picture:
        features = tf.io.parse_single_example(record, _FEATURES)
        label = tf.cast(features["image/class/label"], tf.int32)
        return Picture(features["image/encoded"], label - self.first_label)


def _hold_out(train: list[str], count: int) -> tuple[list[str], list[str]]:
    if not 0 < count < len(train):
        raise UserError(
            f"--holdout_shards={count} must leave training shards: there are {len(train)}"
        )
    return train[count:], train[:count]
