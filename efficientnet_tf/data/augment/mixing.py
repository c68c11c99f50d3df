"""Mixup (arXiv:1710.09412) and CutMix (arXiv:1905.04899) on batches, by keras-cv's layers.

Divergences from keras-cv:
1. Its draws come from TensorFlow's stateful generators, whatever its seed; here they are functions
   of a seed, so that a run can be repeated and resumed.
2. The partner of example i is example B - 1 - i, as in the original EfficientNet, not a random one.
3. Mixup's weight is max(w, 1 - w), as in the original: an example outweighs its partner.
4. Beta(a, a) is drawn as the ratio of two gammas; where both underflow keras-cv returns NaN (alpha
   0.1: one in 40 million), here the example stays as it is.
5. CutMix weighs labels by the visible part of the box, keras-cv by the part it would have if none
   of it lay outside the image.
"""

import functools

import keras_cv
import tensorflow as tf
from keras_cv.src.utils import fill_utils

from efficientnet_tf.config import DataConfig


def mix(
    images: tf.Tensor, labels: tf.Tensor, config: DataConfig, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Mixup or CutMix; where both are configured, each batch gets one, with probability 1/2.

    Args:
      images: `float32 [B, S, S, 3]`.
      labels: `float32 [B, K]`, each row a distribution; smoothing may come before or after, both
        are linear.
      config: `mixup_alpha` and `cutmix_alpha`; 0 is off.
      seed: `int32 [2]`; the result is a pure function of the arguments.

    Returns:
      Images and labels of the same shapes and types.
    """
    mixers = []
    if config.mixup_alpha > 0:
        mixers.append(_layer(SeededMixUp, config.mixup_alpha))
    if config.cutmix_alpha > 0:
        mixers.append(_layer(SeededCutMix, config.cutmix_alpha))
    if not mixers:
        return images, labels
    coin, seed = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
    batch = {"images": images, "labels": labels, "seed": tf.cast(seed, tf.int32)}
    if len(mixers) == 1:
        return _mixed(mixers[0], batch)
    return tf.cond(
        tf.random.stateless_uniform([], coin) < 0.5, *(lambda m=m: _mixed(m, batch) for m in mixers)
    )


def _mixed(layer, batch: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    mixed = layer(dict(batch))
    return (
        tf.ensure_shape(mixed["images"], batch["images"].shape),
        tf.ensure_shape(mixed["labels"], batch["labels"].shape),
    )


@functools.cache
def _layer(kind: type, alpha: float):
    # keras-cv's constructor makes a variable, which the graph of a tf.data map must not.
    with tf.init_scope():
        return kind(alpha, seed=0, dtype="float32")


class _Seeded:
    """Hands the batch's seed to the sampling methods."""

    def _batch_augment(self, inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        self._seeds = tf.unstack(tf.random.experimental.stateless_split(inputs.pop("seed"), 3))
        return super()._batch_augment(inputs)

    def _weights(self, size: tf.Tensor) -> tf.Tensor:
        """`float32 [B]`, Beta(alpha, alpha)."""
        one = tf.random.stateless_gamma([size], self._seeds[0], self.alpha)
        other = tf.random.stateless_gamma([size], self._seeds[1], self.alpha)
        return tf.math.divide_no_nan(one, one + other)


class SeededMixUp(_Seeded, keras_cv.layers.MixUp):
    def _mixup(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        size = tf.shape(images)[0]
        weights = self._weights(size)
        weights = tf.maximum(weights, 1.0 - weights)
        by_image = weights[:, None, None, None]
        mixed = by_image * images + (1.0 - by_image) * images[::-1]
        return mixed, weights, tf.range(size)[::-1]


class SeededCutMix(_Seeded, keras_cv.layers.CutMix):
    def _cutmix(self, images: tf.Tensor) -> tuple[tf.Tensor, ...]:
        size, height, width = tf.unstack(tf.shape(images)[:3])
        sides = tf.cast([height, width], tf.float32)
        box = tf.cast(tf.sqrt(1.0 - self._weights(size))[:, None] * sides, tf.int32)
        places = tf.random.stateless_uniform([size, 2], self._seeds[2])
        centre = tf.cast(places * sides, tf.int32)
        hidden = fill_utils.fill_rectangle(
            tf.zeros_like(images[..., :1]),
            centre[:, 1], centre[:, 0], box[:, 1], box[:, 0],
            tf.ones_like(images[..., :1]),
        )  # fmt: skip
        mixed = tf.where(hidden > 0, images[::-1], images)
        kept = 1.0 - tf.reduce_mean(hidden, [1, 2, 3])
        partner = tf.range(size)[::-1]
        return mixed, kept, partner, centre[:, 0], centre[:, 1], box[:, 1], box[:, 0]
