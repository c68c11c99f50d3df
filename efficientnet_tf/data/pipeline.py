"""From a source to batches, in parallel and in order.

A training run is one endless stream: its seeded epochs one after the other, cut into batches. Order
and random draws are functions of (seed, epoch, index within the epoch), so a run that is resumed at
step n sees the batches that the uninterrupted run saw from there; the examples before it are
skipped without being decoded.
"""

import os

import tensorflow as tf

from efficientnet_tf.config import DataConfig, UserError
from efficientnet_tf.data.bad_examples import (
    count_bad,
    evaluation_loader,
    fill_gaps,
    marks,
    training_loader,
)
from efficientnet_tf.data.examples import (
    Augment,
    augment_policy,
    evaluation_example,
    is_mixed,
    training_example,
)
from efficientnet_tf.data.service import produce_on_service
from efficientnet_tf.data.sources import BatchSource, Source

PADDING_LABEL = -1
# Fixed, not found by TensorFlow's tuner: with that, on a busy processor, whoever drops an iterator
# waits for the tuner's next round, at worst as long again as the iterator was used.
_EXAMPLES_AT_ONCE = os.cpu_count() or 1
_BATCHES_AT_ONCE = min(4, _EXAMPLES_AT_ONCE)  # each may be hundreds of megabytes


def train_dataset(
    source: Source,
    config: DataConfig,
    batch_size: int,
    start_step: int = 0,
    host_index: int = 0,
    host_count: int = 1,
    report: bool = True,
    augment: Augment | None = None,
    image_dtype: str = "float32",
) -> tf.data.Dataset:
    """Training batches without end.

    Args:
      source: from `open_source`, or a `DatasetSource`.
      config: image size, crop, augmentation and seed.
      batch_size: examples per element, one replica's share.
      start_step: steps of `config.train_batch_size` to skip, before anything is decoded.
      host_index, host_count: which host this is, of how many that share the examples.
      report: whether skipped examples are named and counted on stderr; off for a second look at
        examples whose first reader reports.
      augment: an augmentation of one's own in the place of `config.augment_name`, between the flip
        and random erasing: TensorFlow operations from a uint8 image `[S, S, 3]` and an int32 seed
        `[2]` to a uint8 image of the same shape. Equal seeds must give equal images, or a resumed
        run is not repeated exactly. A `BatchSource` is not augmented.
      image_dtype: what the images are rounded to at the end. A network that computes in 16 bits
        loses little by 16-bit images, nothing by those of a policy, which are whole grey levels,
        and half as many bytes go to the device. The original does the same.

    Returns:
      Elements `{"image": [batch_size, S, S, 3] in 0..255, "label": float32 [batch_size,
      num_classes]}`, one-hot but for mixtures and multi-label data. Consecutive small batches hold
      the examples of the large one.

    Raises:
      UserError: the source has no training split or cannot be used with a tf.data service, `config`
        does not say the image size, or both `augment` and `config.augment_name` are given.
    """
    _require_image_size(config)
    if augment is not None and config.augment_name:
        raise UserError(f"augment and augment_name={config.augment_name!r}: give one of them")
    if isinstance(source, BatchSource):
        batches = source.train_batches(config, batch_size, host_index)
        return _rounded(batches, image_dtype).prefetch(tf.data.AUTOTUNE)
    if config.tf_data_service and not source.is_splittable:
        raise UserError(f"--tf_data_service: a source named {source.name!r} cannot be split")
    loader = training_loader(source, config)
    start = start_step * config.train_batch_size
    stream = source.train_stream(config.seed, start, host_index, host_count)
    # A function of somebody's own may count on AutoGraph.
    own = augment and tf.function(augment)
    make = training_example(loader, config, own or augment_policy(config))
    # The tuner of a service runs on its workers, which have cores of their own.
    tuned = tf.data.AUTOTUNE if config.tf_data_service else None
    examples = stream.map(make, tuned or _EXAMPLES_AT_ONCE)
    if loader.tolerant:
        examples = count_bad(examples, config.max_bad_examples, _training_epoch, report)
    batches = examples.batch(batch_size, drop_remainder=True)
    if loader.tolerant:
        batches = batches.map(fill_gaps)
    batches = _rounded(batches.map(_mixer(config), tuned or _BATCHES_AT_ONCE), image_dtype)
    if config.tf_data_service:
        batches = produce_on_service(batches, config.tf_data_service)
    return _in_order(batches)


def eval_dataset(
    source: Source,
    config: DataConfig,
    batch_size: int,
    host_index: int = 0,
    host_count: int = 1,
) -> tf.data.Dataset:
    """Every evaluation image once over all hosts, then padding without end.

    Args:
      source: from `open_source`, or a `DatasetSource`.
      config: image size and resize method.
      batch_size: examples per element, one replica's share.
      host_index, host_count: which host this is, of how many that share the examples.

    Returns:
      Elements `{"image": float32 [batch_size, S, S, 3], "label": int32 [batch_size]}`, of
      multi-label data float32 [batch_size, num_classes]; padding has label -1 and a black image, so
      that every worker can run the same number of full steps.

    Raises:
      UserError: the source has no evaluation split, or `config` does not say the image size.
    """
    _require_image_size(config)
    if isinstance(source, BatchSource):
        batches = source.eval_batches(config, batch_size, host_index, host_count)
        return batches.prefetch(tf.data.AUTOTUNE)
    loader = evaluation_loader(source, config)
    stream = source.eval_stream(host_index, host_count)
    examples = stream.map(evaluation_example(loader, config), _EXAMPLES_AT_ONCE)
    padding = {
        "image": tf.zeros([config.image_size, config.image_size, 3]),
        "label": loader.uniform_label(PADDING_LABEL),
    }
    if loader.tolerant:
        padding |= marks(True, epoch=1)  # the end of epoch 0, when its bad examples are counted
    examples = examples.concatenate(tf.data.Dataset.from_tensors(padding).repeat())
    if loader.tolerant:
        examples = count_bad(examples, config.max_bad_examples, lambda _: "evaluation")
        examples = examples.filter(lambda example: example["ok"])
        examples = examples.map(lambda example: {key: example[key] for key in ("image", "label")})
    return _in_order(examples.batch(batch_size, drop_remainder=True))


def calibration_dataset(source: Source, config: DataConfig, batch_size: int) -> tf.data.Dataset:
    """Training pictures, shuffled, cropped and resized as in evaluation, without end.

    Args:
      source: with training pictures.
      config: image size, resize method and seed.
      batch_size: examples per element.

    Returns:
      float32 [batch_size, S, S, 3] in 0..255.

    Raises:
      UserError: `config` does not say the image size.
    """
    _require_image_size(config)
    if isinstance(source, BatchSource):
        return source.train_batches(config, batch_size, 0).map(lambda batch: batch["image"])
    make = evaluation_example(training_loader(source, config), config)
    stream = source.train_stream(config.seed, 0, 0, 1)
    images = stream.map(lambda element: make(element["raw"])["image"], _EXAMPLES_AT_ONCE)
    return _in_order(images.batch(batch_size, drop_remainder=True))


def _require_image_size(config: DataConfig) -> None:
    if config.image_size is None or config.resize_method is None:
        raise UserError(
            "image_size and resize_method are not set; a network has its own: "
            "DataConfig(...).for_network(en.model_config(name))"
        )


def _training_epoch(epoch: tf.Tensor) -> tf.Tensor:
    return tf.strings.join(["training epoch ", tf.strings.as_string(epoch)])


def _mixer(config: DataConfig):
    """The last step of a training batch: mixes its examples with each other, if configured."""

    @tf.autograph.experimental.do_not_convert
    def mix_examples(batch):
        images, labels = batch["image"], batch["label"]
        if is_mixed(config):
            from efficientnet_tf.data.augment.mixing import mix  # keras-cv takes seconds to import

            images, labels = mix(images, labels, config, batch["seed"][0])
        return {"image": images, "label": labels}

    return mix_examples


def _rounded(batches: tf.data.Dataset, image_dtype: str) -> tf.data.Dataset:
    """The same batches with images of that type."""
    if image_dtype == "float32":
        return batches
    return batches.map(
        lambda batch: {**batch, "image": tf.cast(batch["image"], image_dtype)}, _BATCHES_AT_ONCE
    )


def _in_order(batches: tf.data.Dataset) -> tf.data.Dataset:
    """The same batches in a fixed order, prefetched, and not sharded again by a strategy."""
    options = tf.data.Options()
    options.deterministic = True
    options.autotune.enabled = False
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return batches.with_options(options).prefetch(tf.data.AUTOTUNE)
