"""From a source to batches, in parallel and in order.

A training run is one endless stream: its seeded epochs one after the other, cut into batches. Order
and draws are functions of (seed, epoch, index within the epoch), so a run that starts at step n
sees what the uninterrupted run saw from there; what lies before is skipped undecoded.
"""

import tensorflow as tf

from efficientnet_tf.config import DataConfig
from efficientnet_tf.data import tolerance
from efficientnet_tf.data.examples import evaluator, trainer
from efficientnet_tf.data.guard import decode_or_name
from efficientnet_tf.data.sources import BatchSource, Source, StreamSource

PADDING_LABEL = -1


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
    start = start_step * config.train_batch_size
    stream = source.train_stream(config.seed, start, shard_index, shard_count)
    if config.max_bad_examples:
        batches = _batches_past_bad_examples(stream, source, config, batch_size)
    else:
        examples = _parallel(stream, trainer(source, config, decode_or_name))
        batches = examples.batch(batch_size, drop_remainder=True)
    return _finished(batches)


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
    padding = {
        "image": tf.zeros([config.image_size, config.image_size, 3]),
        "label": tf.constant(PADDING_LABEL),
    }
    if config.max_bad_examples:
        examples = _examples_past_bad_ones(stream, source, config, padding)
    else:
        examples = _parallel(stream, evaluator(source, config, decode_or_name))
        examples = examples.concatenate(tf.data.Dataset.from_tensors(padding).repeat())
    return _finished(examples.batch(batch_size, drop_remainder=True))


def _batches_past_bad_examples(stream, source: StreamSource, config: DataConfig, batch_size: int):
    num_classes = config.num_classes or source.num_classes
    blank = {
        "image": tf.zeros([config.image_size, config.image_size, 3]),
        "label": tf.zeros([num_classes]),
    }
    prepare = trainer(source, config, tolerance.decode_or_fail)

    def explain(element):
        return source.name_train(element["raw"]), tolerance.diagnose(
            source.read_train, element["raw"]
        )

    def title(epoch):
        return tf.strings.join(["training epoch ", tf.strings.as_string(epoch)])

    def try_one(element):
        return tolerance.survive(prepare, element, blank, explain) | {"epoch": element["epoch"]}

    examples = tolerance.count_bad(_parallel(stream, try_one), config.max_bad_examples, title)
    return (
        examples.batch(batch_size, drop_remainder=True)
        .map(tolerance.fill_gaps)
        .map(_image_and_label)
    )


def _examples_past_bad_ones(stream, source: StreamSource, config: DataConfig, padding: dict):
    prepare = evaluator(source, config, tolerance.decode_or_fail)

    def explain(raw):
        return source.name_eval(raw), tolerance.diagnose(source.read_eval, raw)

    def try_one(raw):
        return tolerance.survive(prepare, raw, padding, explain) | {
            "epoch": tf.constant(0, tf.int64)
        }

    # Padding is the next epoch: it makes the count of this one known.
    end = padding | {"ok": True, "name": "", "reason": "", "epoch": tf.constant(1, tf.int64)}
    examples = _parallel(stream, try_one).concatenate(tf.data.Dataset.from_tensors(end).repeat())
    examples = tolerance.count_bad(examples, config.max_bad_examples, lambda _: "evaluation")
    return examples.filter(lambda example: example["ok"]).map(_image_and_label)


def _parallel(stream: tf.data.Dataset, function) -> tf.data.Dataset:
    return stream.map(function, num_parallel_calls=tf.data.AUTOTUNE)


def _image_and_label(example: dict) -> dict:
    return {"image": example["image"], "label": example["label"]}


def _finished(batches: tf.data.Dataset) -> tf.data.Dataset:
    options = tf.data.Options()
    options.deterministic = True
    # Whoever reads the dataset has done the sharding already.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return batches.with_options(options).prefetch(tf.data.AUTOTUNE)
