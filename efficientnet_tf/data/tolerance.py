"""What `max_bad_examples` switches on: every example is tried, bad ones are counted and skipped."""

from collections.abc import Callable

import tensorflow as tf

from efficientnet_tf.data.decode import decode_and_crop
from efficientnet_tf.data.guard import attempt, reason, require
from efficientnet_tf.data.sources.source import Picture


def decode_or_fail(image: tf.Tensor, choose_box: Callable, name: Callable) -> tf.Tensor:
    """`decode_and_crop` where `survive` does the naming."""
    del name
    return decode_and_crop(image, choose_box)


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
    """Why a raw element failed, a string scalar: its record, its picture or its label."""
    readable, (image, _) = attempt(read, raw, Picture(tf.constant(""), tf.constant(0)))
    decodable, _ = attempt(
        lambda encoded: decode_and_crop(encoded, lambda shape: tf.stack([0, 0, 1, 1])),
        image,
        tf.zeros([1, 1, 3], tf.uint8),
    )
    return tf.case(
        [
            (~readable, lambda: tf.constant("is damaged or not a tf.Example")),
            (~decodable, lambda: reason(image)),
        ],
        default=lambda: tf.constant("has a label out of range"),
    )


def count_bad(examples: tf.data.Dataset, limit: int, title: Callable) -> tf.data.Dataset:
    """Names each element that is not `ok`, says how many there were at the end of an epoch.

    Args:
      examples: elements with `ok` (bool), `epoch` (int64), `reason` and `name` (string scalars).
      limit: how many an epoch may have; one more is an error.
      title: int64 epoch to what to call it, both scalar tensors.
    """
    none = tf.constant(0, tf.int64)

    def step(state, example):
        epoch, bad = state
        turned = example["epoch"] != epoch
        _say_if(turned & (bad > 0), lambda: [title(epoch), ": ", _text(bad), " skipped in all"])
        bad = tf.where(turned, none, bad) + tf.cast(~example["ok"], tf.int64)
        require(bad <= limit, lambda: example["reason"], lambda: example["name"])
        _say_if(~example["ok"], lambda: ["skipped: ", example["name"], " ", example["reason"]])
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


def _say_if(condition: tf.Tensor, parts: Callable[[], list]) -> None:
    """Prints to stderr; one string, because TensorFlow puts several between quotes."""
    tf.cond(condition, lambda: tf.print(tf.strings.join(parts())), tf.no_op)


_text = tf.strings.as_string
