"""From a source to batches: decode, crop, flip, augment, batch.

A training run is one endless stream: its seeded epochs one after the other, cut into batches. Order
and draws are functions of (seed, epoch, index within the epoch), so a run that starts at step n
sees what the uninterrupted run saw from there; what lies before is skipped undecoded.
"""

from collections.abc import Callable

import tensorflow as tf

from efficientnet_tf.config import DataConfig, UserError
from efficientnet_tf.data import preprocess
from efficientnet_tf.data.decode import decode_and_crop
from efficientnet_tf.data.sources import BatchSource, Example, Source, StreamSource

PADDING_LABEL = -1
# Draws that one example makes, each from a seed of its own.
_NUM_DRAWS = 5
_GOLDEN_RATIO = 0x9E3779B1


def train_dataset(
    source: Source,
    config: DataConfig,
    batch_size: int,
    start_step: int = 0,
    shard_index: int = 0,
    shard_count: int = 1,
) -> tf.data.Dataset:
    """Training batches without end.

    Args:
      source: from `open_source`.
      config: crop, augmentation and seed.
      batch_size: examples per element, one replica's share.
      start_step: steps of `config.train_batch_size` to skip, before anything is decoded.
      shard_index, shard_count: this input pipeline, of how many.

    Returns:
      Elements `{"image": float32 [batch_size, S, S, 3] in 0..255, "label": float32 one-hot
      [batch_size, num_classes]}`. Consecutive small batches hold the examples of the large one.

    Raises:
      UserError: the source has no training split.
    """
    if isinstance(source, BatchSource):
        return source.train_batches(batch_size, shard_index).prefetch(tf.data.AUTOTUNE)
    stream = source.train_stream(
        config.seed, start_step * config.train_batch_size, shard_index, shard_count
    )
    examples = stream.map(_trainer(source, config), num_parallel_calls=tf.data.AUTOTUNE)
    batches = examples.batch(batch_size, drop_remainder=True)
    return batches.with_options(_options()).prefetch(tf.data.AUTOTUNE)


def eval_dataset(
    source: Source,
    config: DataConfig,
    batch_size: int,
    shard_index: int = 0,
    shard_count: int = 1,
) -> tf.data.Dataset:
    """Every evaluation image once over all shards, then padding without end.

    Args:
      source: from `open_source`.
      config: image size and resize method.
      batch_size: examples per element, one replica's share.
      shard_index, shard_count: this input pipeline, of how many.

    Returns:
      Elements `{"image": float32 [batch_size, S, S, 3], "label": int32 [batch_size]}`; padding has
      label -1 and a black image, so that every worker can run the same number of full steps.

    Raises:
      UserError: the source has no evaluation split.
    """
    if isinstance(source, BatchSource):
        batches = source.eval_batches(batch_size, shard_index, shard_count)
        return batches.prefetch(tf.data.AUTOTUNE)
    stream = source.eval_stream(shard_index, shard_count)
    examples = stream.map(_evaluator(source, config), num_parallel_calls=tf.data.AUTOTUNE)
    padding = {
        "image": tf.zeros([config.image_size, config.image_size, 3]),
        "label": tf.constant(PADDING_LABEL),
    }
    examples = examples.concatenate(tf.data.Dataset.from_tensors(padding).repeat())
    batches = examples.batch(batch_size, drop_remainder=True)
    return batches.with_options(_options()).prefetch(tf.data.AUTOTUNE)


def augment_policy(config: DataConfig) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None:
    """What `config.augment_name` names: (uint8 image `[H, W, 3]`, int32 seed `[2]`) to image."""
    if config.augment_name is None:
        return None
    if config.augment_name == "autoaugment":
        from efficientnet_tf.data.autoaugment import AutoAugment

        return AutoAugment()
    if config.augment_name == "randaugment":
        from efficientnet_tf.data.randaugment import RandAugment

        return RandAugment(config.randaug_num_layers, config.randaug_magnitude)
    raise UserError(f"--augment_name={config.augment_name}: autoaugment or randaugment")


def _trainer(source: StreamSource, config: DataConfig):
    """The function from an element of the stream to a training example."""
    label_of = _labeller(source, config)
    num_classes = config.num_classes or source.num_classes
    policy = augment_policy(config)

    def prepare(element):
        crop_seed, flip_seed, policy_seed, *_ = _seeds(config.seed, element)
        example = source.read_train(element["raw"])
        box = preprocess.train_box(config.image_size, config.min_crop_area, crop_seed)
        image = decode_and_crop(example.image, box)
        image = preprocess.resize(image, config.image_size, config.resize_method)
        if config.horizontal_flip:
            image = preprocess.random_flip(image, flip_seed)
        if policy is not None:
            pixels = tf.cast(tf.clip_by_value(image, 0.0, 255.0), tf.uint8)
            image = tf.cast(policy(pixels, policy_seed), tf.float32)
        return {"image": image, "label": tf.one_hot(label_of(example), num_classes)}

    return prepare


def _evaluator(source: StreamSource, config: DataConfig):
    """The function from an element of the stream to an evaluation example."""
    label_of = _labeller(source, config)

    def prepare(raw):
        example = source.read_eval(raw)
        image = decode_and_crop(example.image, preprocess.eval_box(config.image_size))
        image = preprocess.resize(image, config.image_size, config.resize_method)
        return {"image": image, "label": label_of(example)}

    return prepare


def _labeller(source: StreamSource, config: DataConfig):
    """The function from an example to its int32 class in the model's numbering."""
    num_classes = config.num_classes or source.num_classes
    background = num_classes - source.num_classes

    def label_of(example: Example):
        label = example.label + background
        in_range = (label >= 0) & (label < num_classes)
        tf.debugging.Assert(in_range, ["label out of range", example.name, label])
        return label

    return label_of


def _seeds(seed: int, element) -> list[tf.Tensor]:
    """`_NUM_DRAWS` int32 seeds `[2]`, functions of (seed, epoch, index) alone."""
    run = ((seed * _GOLDEN_RATIO + 2**31) % 2**32) - 2**31
    root = tf.stack(
        [run + tf.cast(element["epoch"], tf.int32), tf.cast(element["index"], tf.int32)]
    )
    return tf.unstack(tf.random.experimental.stateless_split(root, _NUM_DRAWS))


def _options() -> tf.data.Options:
    options = tf.data.Options()
    options.deterministic = True
    # Whoever reads the dataset has done the sharding already.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return options
