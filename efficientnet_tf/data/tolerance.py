"""What `max_bad_examples` switches on: every example is tried, bad ones are counted and skipped."""

from collections.abc import Callable

import tensorflow as tf

from efficientnet_tf.config import DataConfig
from efficientnet_tf.data.examples import (
    evaluation_example,
    is_mixed,
    network_classes,
    training_example,
)
from efficientnet_tf.data.guard import attempt, reason, require
from efficientnet_tf.data.pictures.decode import decode_and_crop
from efficientnet_tf.data.sources import Picture, StreamSource


def train_examples(
    stream: tf.data.Dataset, source: StreamSource, config: DataConfig, report: bool = True
) -> tf.data.Dataset:
    """The training examples with `ok`, black ones in the place of bad ones.

    Args:
      report: as in `count_bad`.
    """
    prepare = training_example(source, config, _decode_or_fail)
    blank = {
        "image": tf.zeros([config.image_size, config.image_size, 3]),
        "label": tf.zeros([network_classes(source, config)]),
    }
    if is_mixed(config):
        blank["seed"] = tf.zeros([2], tf.int32)

    def explain(element):
        raw = element["raw"]
        return source.name_train(raw), _why(source.read_train, raw)

    def try_one(element):
        return survive(prepare, element, blank, explain) | {"epoch": element["epoch"]}

    def title(epoch):
        return tf.strings.join(["training epoch ", _text(epoch)])

    examples = stream.map(try_one, tf.data.AUTOTUNE)
    return count_bad(examples, config.max_bad_examples, title, report)


def eval_examples(
    stream: tf.data.Dataset, source: StreamSource, config: DataConfig, padding: dict
) -> tf.data.Dataset:
    """The good evaluation examples, then padding without end."""
    prepare = evaluation_example(source, config, _decode_or_fail)

    def explain(raw):
        return source.name_eval(raw), _why(source.read_eval, raw)

    def try_one(raw):
        return survive(prepare, raw, padding, explain) | {"epoch": tf.constant(0, tf.int64)}

    # Padding is the next epoch: with it the count of this one is known.
    end = padding | {"ok": True, "name": "", "reason": "", "epoch": tf.constant(1, tf.int64)}
    end = tf.data.Dataset.from_tensors(end).repeat()
    examples = stream.map(try_one, tf.data.AUTOTUNE).concatenate(end)
    examples = count_bad(examples, config.max_bad_examples, lambda _: "evaluation")
    examples = examples.filter(lambda example: example["ok"])
    return examples.map(lambda example: {key: example[key] for key in padding})


def survive(prepare: Callable, element, blank: dict, explain: Callable) -> dict:
    """`prepare(element)` with `ok` true, or `blank` with `ok` false, `name` and `reason`.

    Args:
      blank: has the structure of the result.
      explain: element to (name, reason), string scalars; called for a bad example only.
    """
    ok, example = attempt(prepare, element, blank)
    nothing = tf.constant(""), tf.constant("")
    name, why = tf.cond(ok, lambda: nothing, lambda: explain(element))
    return example | {"ok": ok, "name": name, "reason": why}


def diagnose(read: Callable, raw) -> tf.Tensor:
    """Why a raw element cannot be used, a string scalar; empty if record and picture are good."""
    readable, (image, _) = attempt(read, raw, Picture(tf.constant(""), tf.constant(0)))
    decodable, _ = attempt(_decode_everything, image, tf.zeros([1, 1, 3], tf.uint8))
    return tf.case(
        [
            (~readable, lambda: tf.constant("is damaged or not a tf.Example")),
            (~decodable, lambda: reason(image)),
        ],
        default=lambda: tf.constant(""),
    )


def _decode_everything(encoded):
    return decode_and_crop(encoded, lambda shape: tf.stack([0, 0, shape[0], shape[1]]))


def count_bad(
    examples: tf.data.Dataset, limit: int, title: Callable, report: bool = True
) -> tf.data.Dataset:
    """Names each element that is not `ok`, says how many there were at the end of an epoch.

    Args:
      examples: elements with `ok` (bool), `epoch` (int64), `reason` and `name` (string scalars).
      limit: how many an epoch may have; one more is an error.
      title: int64 epoch to what to call it, both scalar tensors.
      report: False counts without a word.
    """
    none = tf.constant(0, tf.int64)

    def step(state, example):
        epoch, bad = state
        turned = example["epoch"] != epoch
        _say_if(
            report & turned & (bad > 0), lambda: [title(epoch), ": ", _text(bad), " skipped in all"]
        )
        bad = tf.where(turned, none, bad) + tf.cast(~example["ok"], tf.int64)
        require(bad <= limit, lambda: example["reason"], lambda: example["name"])
        _say_if(
            report & ~example["ok"], lambda: ["skipped: ", example["name"], " ", example["reason"]]
        )
        return (example["epoch"], bad), example

    return examples.scan((none, none), step)


def fill_gaps(batch):
    """Puts a good example of the batch in the place of each bad one.

    Places stay as they were, so a resumed run still sees the batches of the uninterrupted one.

    Args:
      batch: `ok` (bool `[n]`) and other tensors of `n` rows.
    """
    ok = batch["ok"]
    require(tf.reduce_any(ok), lambda: batch["reason"][0], lambda: batch["name"][0])
    rows = tf.range(tf.shape(ok)[0])
    last_good = tf.scan(tf.maximum, tf.where(ok, rows, -1))
    first_good = tf.argmax(tf.cast(ok, tf.int32), output_type=tf.int32)
    rows = tf.maximum(last_good, first_good)
    return {key: tf.gather(value, rows) for key, value in batch.items()}


def _why(read, raw):
    """`diagnose`; where record and picture are good, it was the label."""
    why = diagnose(read, raw)
    return tf.where(why == "", "has a label out of range", why)


def _decode_or_fail(image, choose_box, name):
    """As `guard.decode_or_name`, where somebody else does the naming."""
    del name
    return decode_and_crop(image, choose_box)


def _say_if(condition: tf.Tensor, parts: Callable[[], list]) -> None:
    """Prints to stderr; one string, because TensorFlow puts several between quotes."""
    tf.cond(condition, lambda: tf.print(tf.strings.join(parts())), tf.no_op)


_text = tf.strings.as_string
