"""From a source to batches, in parallel and in order.

A training run is one endless stream: its seeded epochs one after the other, cut into batches. Order
and draws are functions of (seed, epoch, index within the epoch), so a run that starts at step n
sees what the uninterrupted run saw from there; what lies before is skipped undecoded.
"""

import tensorflow as tf

from efficientnet_tf.config import DataConfig, UserError
from efficientnet_tf.data import tolerance
from efficientnet_tf.data.examples import evaluation_example, is_mixed, training_example
from efficientnet_tf.data.guard import decode_or_name
from efficientnet_tf.data.service import produce_on_service
from efficientnet_tf.data.sources import BatchSource, Source

PADDING_LABEL = -1


def train_dataset(
    source: Source,
    config: DataConfig,
    batch_size: int,
    start_step: int = 0,
    host_index: int = 0,
    host_count: int = 1,
    report: bool = True,
) -> tf.data.Dataset:
    """Training batches without end.

    Args:
      source: from `open_source`.
      config: crop, augmentation and seed.
      batch_size: examples per element, one replica's share.
      start_step: steps of `config.train_batch_size` to skip, before anything is decoded.
      host_index, host_count: which host this is, of how many that share the examples.
      report: whether skipped examples are named and counted on stderr; off for a second look at
        examples whose first reader reports.

    Returns:
      Elements `{"image": float32 [batch_size, S, S, 3] in 0..255, "label": float32 one-hot
      [batch_size, num_classes]}`. Consecutive small batches hold the examples of the large one.

    Raises:
      UserError: the source has no training split, or `config` does not say the image size.
    """
    _require_image_size(config)
    if isinstance(source, BatchSource):
        return source.train_batches(config, batch_size, host_index).prefetch(tf.data.AUTOTUNE)
    start = start_step * config.train_batch_size
    stream = source.train_stream(config.seed, start, host_index, host_count)
    if config.max_bad_examples and source.is_encoded:
        examples = tolerance.train_examples(stream, source, config, report)
        batches = examples.batch(batch_size, drop_remainder=True).map(tolerance.fill_gaps)
    else:
        examples = stream.map(training_example(source, config, decode_or_name), tf.data.AUTOTUNE)
        batches = examples.batch(batch_size, drop_remainder=True)
    batches = batches.map(_mixer(config), tf.data.AUTOTUNE)
    if config.tf_data_service:
        batches = produce_on_service(batches, config.tf_data_service)
    return _finished(batches)


def eval_dataset(
    source: Source,
    config: DataConfig,
    batch_size: int,
    host_index: int = 0,
    host_count: int = 1,
) -> tf.data.Dataset:
    """Every evaluation image once over all hosts, then padding without end.

    Args:
      source: from `open_source`.
      config: image size and resize method.
      batch_size: examples per element, one replica's share.
      host_index, host_count: which host this is, of how many that share the examples.

    Returns:
      Elements `{"image": float32 [batch_size, S, S, 3], "label": int32 [batch_size]}`; padding has
      label -1 and a black image, so that every worker can run the same number of full steps.

    Raises:
      UserError: the source has no evaluation split, or `config` does not say the image size.
    """
    _require_image_size(config)
    if isinstance(source, BatchSource):
        batches = source.eval_batches(config, batch_size, host_index, host_count)
        return batches.prefetch(tf.data.AUTOTUNE)
    stream = source.eval_stream(host_index, host_count)
    padding = {
        "image": tf.zeros([config.image_size, config.image_size, 3]),
        "label": tf.constant(PADDING_LABEL),
    }
    if config.max_bad_examples and source.is_encoded:
        examples = tolerance.eval_examples(stream, source, config, padding)
    else:
        examples = stream.map(evaluation_example(source, config, decode_or_name), tf.data.AUTOTUNE)
        examples = examples.concatenate(tf.data.Dataset.from_tensors(padding).repeat())
    return _finished(examples.batch(batch_size, drop_remainder=True))


def _require_image_size(config: DataConfig) -> None:
    if config.image_size is None or config.resize_method is None:
        raise UserError(
            "image_size and resize_method are not set; a network has its own: "
            "DataConfig(...).for_network(en.model_config(name))"
        )


def _mixer(config: DataConfig):
    """The last step of a training batch: mixing its examples with each other, if wanted."""

    def mix_examples(batch):
        images, labels = batch["image"], batch["label"]
        if is_mixed(config):
            from efficientnet_tf.data.augment.mixing import mix  # keras-cv takes seconds to import

            images, labels = mix(images, labels, config, batch["seed"][0])
        return {"image": images, "label": labels}

    return mix_examples


def _finished(batches: tf.data.Dataset) -> tf.data.Dataset:
    options = tf.data.Options()
    options.deterministic = True
    # Whoever reads the dataset has done the sharding already.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return batches.with_options(options).prefetch(tf.data.AUTOTUNE)
