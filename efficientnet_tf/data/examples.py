"""One example: from a raw element of a source's stream to a picture the network can take."""

from collections.abc import Callable

import tensorflow as tf

from efficientnet_tf.config import DataConfig, UserError
from efficientnet_tf.data.augment.autoaugment import AutoAugment
from efficientnet_tf.data.augment.color_ops import to_bytes
from efficientnet_tf.data.augment.erasing import random_erasing
from efficientnet_tf.data.augment.randaugment import RandAugment
from efficientnet_tf.data.bad_examples import ExampleLoader
from efficientnet_tf.data.pictures import preprocess

# Random draws that one example makes, each from a seed of its own.
_NUM_DRAWS = 5
_GOLDEN_RATIO = 0x9E3779B1

# (uint8 image [H, W, 3], int32 seed [2]) to uint8 image [H, W, 3].
Augment = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def training_example(
    loader: ExampleLoader, config: DataConfig, augment: Augment | None = None
) -> Callable[[dict], dict]:
    """Load, crop, flip, augment: element of the training stream to training example.

    Args:
      loader: of the training split.
      config: crop, flip, random erasing and seed.
      augment: applied between the flip and random erasing.

    Returns:
      A function from `{"raw", "epoch", "index"}` to `{"image": float32 [S, S, 3] in 0..255,
      "label": float32 [num_classes]}`, one-hot but for multi-label data, for a batch that will be
      mixed also `"seed": int32 [2]`, and what the loader adds. Its draws depend on (seed, epoch,
      index) alone.
    """

    @tf.autograph.experimental.do_not_convert  # it would rewrite all Python below, for seconds
    def make(element):
        crop_seed, flip_seed, augment_seed, erasing_seed, mixing_seed = _seeds(config.seed, element)
        box = preprocess.train_box(config.image_size, config.min_crop_area, crop_seed)
        ok, image, label = loader.load(element["raw"], box)
        image = preprocess.resize(image, config.image_size, config.resize_method)
        if config.horizontal_flip:
            image = preprocess.random_flip(image, flip_seed)
        if augment is not None:
            image = _apply(augment, image, augment_seed)
        if config.random_erasing:
            image = random_erasing(image, config.random_erasing, erasing_seed)
        if not loader.is_multi_label:
            label = tf.one_hot(label, loader.num_classes)
        example = {"image": image, "label": label}
        if is_mixed(config):
            example["seed"] = mixing_seed
        return loader.finish(example, ok, element["raw"], element["epoch"])

    return make


def evaluation_example(loader: ExampleLoader, config: DataConfig) -> Callable[..., dict]:
    """Load, crop the centre, resize: element of the evaluation stream to evaluation example.

    Returns:
      A function from a raw element to `{"image": float32 [S, S, 3], "label": int32 scalar, or
      float32 [num_classes] of multi-label data}`, and what the loader adds; bicubic resizing leaves
      the range 0..255.
    """
    box = preprocess.eval_box(config.image_size)

    @tf.autograph.experimental.do_not_convert
    def make(raw):
        ok, image, label = loader.load(raw, box)
        image = preprocess.resize(image, config.image_size, config.resize_method)
        return loader.finish({"image": image, "label": label}, ok, raw)

    return make


def augment_policy(config: DataConfig) -> Augment | None:
    """The policy that `config.augment_name` names."""
    if not config.augment_name:
        return None
    if config.augment_name == "autoaugment":
        return AutoAugment()
    if config.augment_name == "randaugment":
        return RandAugment(config.randaug_num_layers, config.randaug_magnitude)
    raise UserError(f"--augment_name={config.augment_name}: autoaugment or randaugment")


def is_mixed(config: DataConfig) -> bool:
    """Whether the examples of a batch are mixed with each other."""
    return config.mixup_alpha > 0 or config.cutmix_alpha > 0


def _apply(augment: Augment, image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Augments a float32 image: policies take whole grey levels, bicubic resizing leaves 0..255."""
    pixels = to_bytes(image)
    return tf.cast(tf.ensure_shape(augment(pixels, seed), image.shape), tf.float32)


def _seeds(seed: int, element) -> list[tf.Tensor]:
    """`_NUM_DRAWS` int32 seeds `[2]`, functions of (seed, epoch, index) alone."""
    run = ((seed * _GOLDEN_RATIO + 2**31) % 2**32) - 2**31
    root = [run + tf.cast(element["epoch"], tf.int32), tf.cast(element["index"], tf.int32)]
    return tf.unstack(tf.random.experimental.stateless_split(tf.stack(root), _NUM_DRAWS))
