"""An augmentation policy as a Keras preprocessing layer."""

import keras
import tensorflow as tf

from efficientnet_tf.data.augment.color_ops import to_bytes
from efficientnet_tf.data.augment.policy import Policy


@keras.saving.register_keras_serializable("efficientnet_tf")
class Augmentation(keras.layers.Layer):
    """Augments each image of a batch on its own, in training only.

    `keras.Sequential([Augmentation(AutoAugment()), model])`. Images are `[H, W, 3]` or
    `[B, H, W, 3]` in 0..255, of any type, which they keep; values are cut to bytes in between.

    Args:
      policy: `AutoAugment`, `RandAugment`, or another registered `Policy`.
      seed: of the layer's own generator, whose state a checkpoint keeps.
    """

    def __init__(self, policy: Policy, seed: int | None = None, **kwargs: object):
        super().__init__(**kwargs)
        self.policy = policy
        self.seed = seed
        self._generator = keras.random.SeedGenerator(seed)
        self.built = True

    def call(self, images: tf.Tensor, training: bool = True) -> tf.Tensor:
        if not training:
            return images
        pixels = to_bytes(tf.cast(images, tf.float32))
        seed = tf.cast(self._generator.next(), tf.int32)
        if len(images.shape) == 3:
            return tf.cast(self.policy(pixels, seed), images.dtype)
        seeds = tf.random.stateless_uniform(
            [tf.shape(images)[0], 2], seed, minval=None, maxval=None, dtype=tf.int32
        )
        augmented = tf.map_fn(
            lambda example: self.policy(*example),
            (pixels, seeds),
            fn_output_signature=tf.TensorSpec(images.shape[1:], tf.uint8),
        )
        return tf.cast(augmented, images.dtype)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return input_shape

    def get_config(self) -> dict:
        policy = keras.saving.serialize_keras_object(self.policy)
        return {**super().get_config(), "policy": policy, "seed": self.seed}

    @classmethod
    def from_config(cls, config: dict) -> "Augmentation":
        policy = keras.saving.deserialize_keras_object(config.pop("policy"))
        return cls(policy, **config)
