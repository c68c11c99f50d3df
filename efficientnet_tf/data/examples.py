"""One example: from a raw element of a source's stream to a picture the network can take."""

from collections.abc import Callable

import tensorflow as tf

from efficientnet_tf.config import DataConfig, UserError
from efficientnet_tf.data.augment.autoaugment import AutoAugment
from efficientnet_tf.data.augment.erasing import random_erasing
from efficientnet_tf.data.augment.randaugment import RandAugment
from efficientnet_tf.data.guard import require
from efficientnet_tf.data.pictures import preprocess
from efficientnet_tf.data.sources import Source, StreamSource
from efficientnet_tf.data.sources.source import IMAGENET_CLASSES

# Draws that one example makes, each from a seed of its own.
_NUM_DRAWS = 5
_GOLDEN_RATIO = 0x9E3779B1

# (image, choose_box, name) to the cropped image; `name` is called for a message only.
Decoder = Callable[[tf.Tensor, Callable, Callable[[], tf.Tensor]], tf.Tensor]


def training_example(source: StreamSource, config: DataConfig, decode: Decoder) -> Callable:
    """Decode, crop, flip, augment: element of the training stream to training example.

    Returns:
      A function from `{"raw", "epoch", "index"}` to `{"image": float32 [S, S, 3] in 0..255,
      "label": float32 one-hot [num_classes]}`, and for a batch that will be mixed `"seed": int32
      [2]`. Its draws depend on (seed, epoch, index) alone.
    """
    label_of = _labeller(source, config)
    num_classes = network_classes(source, config)
    augment = _augmenter(config)

    def prepare(element):
        raw = element["raw"]
        crop_seed, flip_seed, policy_seed, erasing_seed, mixing_seed = _seeds(config.seed, element)
        picture = source.read_train(raw)
        box = preprocess.train_box(config.image_size, config.min_crop_area, crop_seed)
        image = decode(picture.image, box, lambda: source.name_train(raw))
        image = preprocess.resize(image, config.image_size, config.resize_method)
        if config.horizontal_flip:
            image = preprocess.random_flip(image, flip_seed)
        image = augment(image, policy_seed, erasing_seed)
        label = label_of(picture.label, lambda: source.name_train(raw))
        example = {"image": image, "label": tf.one_hot(label, num_classes)}
        return example | ({"seed": mixing_seed} if is_mixed(config) else {})

    return prepare


def evaluation_example(source: StreamSource, config: DataConfig, decode: Decoder) -> Callable:
    """Decode, crop the centre: element of the evaluation stream to evaluation example.

    Returns:
      A function from a raw element to `{"image": float32 [S, S, 3], "label": int32 scalar}`;
      bicubic resizing leaves the range 0..255.
    """
    label_of = _labeller(source, config)
    box = preprocess.eval_box(config.image_size)

    def prepare(raw):
        picture = source.read_eval(raw)
        image = decode(picture.image, box, lambda: source.name_eval(raw))
        image = preprocess.resize(image, config.image_size, config.resize_method)
        return {"image": image, "label": label_of(picture.label, lambda: source.name_eval(raw))}

    return prepare


def augment_policy(config: DataConfig) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None:
    """What `config.augment_name` names: (uint8 image `[H, W, 3]`, int32 seed `[2]`) to image."""
    if not config.augment_name:
        return None
    if config.augment_name == "autoaugment":
        return AutoAugment()
    if config.augment_name == "randaugment":
        return RandAugment(config.randaug_num_layers, config.randaug_magnitude)
    raise UserError(f"--augment_name={config.augment_name}: autoaugment or randaugment")


def network_classes(source: Source, config: DataConfig) -> int:
    """Width of the labels: as configured, else the data's own; ImageNet's where neither says."""
    return config.num_classes or source.num_classes or IMAGENET_CLASSES


def is_mixed(config: DataConfig) -> bool:
    """Whether the examples of a batch are mixed with each other."""
    return config.mixup_alpha > 0 or config.cutmix_alpha > 0


def _augmenter(config: DataConfig):
    """What follows crop and flip: the policy on whole grey levels, then random erasing."""
    policy = augment_policy(config)

    def augment(image, policy_seed, erasing_seed):
        if policy is not None:
            pixels = tf.cast(tf.clip_by_value(image, 0.0, 255.0), tf.uint8)
            pixels = tf.ensure_shape(policy(pixels, policy_seed), image.shape)
            image = tf.cast(pixels, tf.float32)
        if config.random_erasing:
            image = random_erasing(image, config.random_erasing, erasing_seed)
        return image

    return augment


def _labeller(source: StreamSource, config: DataConfig):
    """The function from a label of the data to an int32 class of the model."""
    first, num_classes = source.first_label, network_classes(source, config)
    background = source.background(num_classes)
    lowest, highest = -background, num_classes - background - 1
    allowed = f", outside {lowest + first}..{highest + first}"

    def label_of(label, name):
        def reason():
            return tf.strings.join(["has label ", tf.strings.as_string(label + first), allowed])

        require((label >= lowest) & (label <= highest), reason, name)
        return label + background

    return label_of


def _seeds(seed: int, element) -> list[tf.Tensor]:
    """`_NUM_DRAWS` int32 seeds `[2]`, functions of (seed, epoch, index) alone."""
    run = ((seed * _GOLDEN_RATIO + 2**31) % 2**32) - 2**31
    root = [run + tf.cast(element["epoch"], tf.int32), tf.cast(element["index"], tf.int32)]
    return tf.unstack(tf.random.experimental.stateless_split(tf.stack(root), _NUM_DRAWS))
