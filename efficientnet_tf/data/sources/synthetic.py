"""Random pictures for benchmarks: the original's "fake ImageNet"."""

import tensorflow as tf

from efficientnet_tf.config import DataConfig
from efficientnet_tf.data.sources.source import IMAGENET_CLASSES, BatchSource

IMAGENET_TRAIN_IMAGES = 1281167
IMAGENET_EVAL_IMAGES = 50000


class SyntheticSource(BatchSource):
    """One batch of noise, made once and handed out again and again.

    Pixels are whole numbers 0..255 in float32, labels uniform; both a function of the seed alone.
    There is no decoding, cropping or augmentation, so that the cost of everything else is measured.
    """

    name = "synthetic"

    def __init__(self, config: DataConfig):
        self._config = config
        self.num_classes = config.num_classes or IMAGENET_CLASSES

    @property
    def num_train_images(self) -> int:
        return self._config.num_train_images or IMAGENET_TRAIN_IMAGES

    @property
    def num_eval_images(self) -> int:
        return self._config.num_eval_images or IMAGENET_EVAL_IMAGES

    def train_batches(
        self, config: DataConfig, batch_size: int, host_index: int
    ) -> tf.data.Dataset:
        def one_hot(batch):
            return batch | {"label": tf.one_hot(batch["label"], self.num_classes)}

        return self._batch(config, batch_size, host_index).map(one_hot).cache().repeat()

    def eval_batches(
        self, config: DataConfig, batch_size: int, host_index: int, host_count: int
    ) -> tf.data.Dataset:
        here = len(range(host_index, self.num_eval_images, host_count))

        def mask(batch, first):
            """Blanks what lies behind the last image."""
            real = tf.range(batch_size, dtype=tf.int64) + first < here
            return {
                "image": tf.where(real[:, None, None, None], batch["image"], 0.0),
                "label": tf.where(real, batch["label"], -1),
            }

        whole, rest = divmod(here, batch_size)
        batch = self._batch(config, batch_size, host_index).cache()
        batches = batch.repeat(whole)
        if rest:
            batches = batches.concatenate(batch.map(lambda batch: mask(batch, here - rest)))
        padding = batch.map(lambda batch: mask(batch, here)).cache().repeat()
        return batches.concatenate(padding)

    def _batch(self, config: DataConfig, batch_size: int, host_index: int) -> tf.data.Dataset:
        size, seed = config.image_size, [config.seed, host_index]

        def draw(_):
            shape = [batch_size, size, size, 3]
            image = tf.random.stateless_uniform(shape, seed, 0, 256, tf.int32)
            label = tf.random.stateless_uniform([batch_size], seed, 0, self.num_classes, tf.int32)
            return {"image": tf.cast(image, tf.float32), "label": label}

        return tf.data.Dataset.from_tensors(0).map(draw)
