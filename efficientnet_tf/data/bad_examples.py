"""Bad examples: damaged records, pictures that cannot be decoded, labels out of range.

Each is named, with the reason. Without `max_bad_examples` the first one is an error; with it, up to
that many of an epoch are skipped and counted.

Trying to decode costs a quarter of a millisecond (`attempt`), so without `max_bad_examples` only
pictures that do not look like whole JPEGs are tried. A JPEG that fails nevertheless is an error of
the decoder, which names nothing; `failures.explain` then reads the examples again to find it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import tensorflow as tf

from efficientnet_tf.config import DataConfig
from efficientnet_tf.data.pictures.attempt import BLACK_PIXEL, attempt, picture_problem, try_decode
from efficientnet_tf.data.pictures.decode import decode_and_crop, whole_box
from efficientnet_tf.data.sources.source import Picture, StreamSource, network_classes

# `failures.explain` recognises our own assertions by it.
BAD_EXAMPLE = "efficientnet_tf: bad example"


class Loaded(NamedTuple):
    """A picture and its label, if `ok`; else one black pixel and a label of 0.

    Attributes:
      ok: bool scalar.
      image: the crop, `[height, width, 3]`, uint8 or the source's own dtype.
      label: int32 scalar, class of the network, or float32 [num_classes] of multi-label data.
    """

    ok: tf.Tensor
    image: tf.Tensor
    label: tf.Tensor


@dataclass(frozen=True)
class ExampleLoader:
    """Reads and decodes the examples of one split; says what is wrong with a bad one.

    Attributes:
      read, name: of the source's split, `read_train` and `name_train` or their counterparts.
      fault: of the source.
      is_encoded: of the source.
      tolerant: every example is tried, and a bad one is marked; else a bad one is an error.
      first_label: the data's own number of class 0, for messages.
      background: what is added to a label of the data to give the class of the network.
      num_classes: of the network.
      is_multi_label: labels are vectors, each number 0..1.
    """

    read: Callable[..., Picture]
    name: Callable[..., tf.Tensor]
    fault: Callable[..., tf.Tensor] = lambda raw: tf.constant("")
    is_encoded: bool = True
    tolerant: bool = False
    first_label: int = 0
    background: int = 0
    num_classes: int = 1
    is_multi_label: bool = False

    def uniform_label(self, value: int) -> tf.Tensor:
        """A label in this split's form that is `value` all over."""
        if self.is_multi_label:
            return tf.fill([self.num_classes], float(value))
        return tf.constant(value)

    def load(self, raw, choose_box: Callable[[tf.Tensor], tf.Tensor]) -> Loaded:
        """One example, cropped to the box that `choose_box` picks from the picture's shape."""
        if self.tolerant:
            ok, (image, label) = self._try(raw, choose_box)
        else:
            encoded, label = self._read(raw)
            ok, image = try_decode(encoded, choose_box)
        ok &= self.in_range(label)
        nothing = self.uniform_label(0)
        label = tf.cast(label + self.background, nothing.dtype)
        return Loaded(ok, image, tf.where(ok, label, nothing))

    def finish(self, example: dict, ok: tf.Tensor, raw, epoch: tf.Tensor | int = 0) -> dict:
        """The example that was made of what `load` returned; fails unless `ok`.

        A tolerant loader does not fail but adds `ok`, `epoch` and, of a bad example, `name` and
        `reason`: what `count_bad` needs.
        """
        if not self.tolerant:
            _require(ok, lambda: self.describe(raw))
            return example
        name, reason = tf.cond(
            ok, lambda: (tf.constant(""), tf.constant("")), lambda: self.describe(raw)
        )
        return example | marks(ok, epoch, name, reason)

    def in_range(self, label: tf.Tensor) -> tf.Tensor:
        """Whether a label of the data is a class of the network, a bool scalar."""
        if self.is_multi_label:
            return tf.reduce_all((label >= 0) & (label <= 1))
        return (label >= -self.background) & (label < self.num_classes - self.background)

    def can_decode(self, raw) -> tf.Tensor:
        """Whether record and picture, all of it, are good; for a source of encoded pictures."""
        return self._try(raw, whole_box)[0]

    def describe(self, raw) -> tuple[tf.Tensor, tf.Tensor]:
        """Name and reason of a bad example, string scalars."""
        if not self.is_encoded:
            return self.name(raw), self._label_problem(self._read(raw).label)
        fault, nothing = self.fault(raw), Picture(tf.constant(""), self._no_label())
        readable, (encoded, label) = attempt(self._read, raw, nothing)
        reason = tf.case(
            [
                (tf.not_equal(fault, ""), lambda: fault),
                (~readable, lambda: tf.constant("is damaged or not a tf.Example")),
                (~self.can_decode(raw), lambda: picture_problem(encoded)),
            ],
            default=lambda: self._label_problem(label),
        )
        return self.name(raw), reason

    def _try(self, raw, choose_box):
        """Whether reading and decoding succeed, and the image and label of the data."""

        def decode(raw):
            encoded, label = self._read(raw)
            return decode_and_crop(encoded, choose_box), label

        return attempt(decode, raw, (BLACK_PIXEL, self._no_label()))

    def _read(self, raw) -> Picture:
        """The label of one class as int64, whatever the source has it as."""
        image, label = self.read(raw)
        return Picture(image, tf.cast(label, self._no_label().dtype))

    def _no_label(self):
        """The label of the data of an example that cannot be read."""
        return self.uniform_label(0) if self.is_multi_label else tf.constant(0, tf.int64)

    def _label_problem(self, label):
        if self.is_multi_label:
            return tf.constant("has a label outside 0..1")
        lowest = self.first_label - self.background
        allowed = f", outside {lowest}..{lowest + self.num_classes - 1}"
        return tf.strings.join(["has label ", _text(label + self.first_label), allowed])


def training_loader(source: StreamSource, config: DataConfig) -> ExampleLoader:
    """A loader for the training split of a source."""
    return _loader(source, config, source.read_train, source.name_train)


def evaluation_loader(source: StreamSource, config: DataConfig) -> ExampleLoader:
    """A loader for the evaluation split of a source."""
    return _loader(source, config, source.read_eval, source.name_eval)


def _loader(source, config, read, name):
    num_classes = network_classes(source, config)
    return ExampleLoader(
        read,
        name,
        source.fault,
        is_encoded=source.is_encoded,
        tolerant=source.is_encoded and config.max_bad_examples > 0,
        first_label=source.first_label,
        background=source.background(num_classes),
        num_classes=num_classes,
        is_multi_label=source.is_multi_label,
    )


def marks(ok, epoch, name="", reason="") -> dict:
    """What a tolerant loader adds to an example."""
    return {"ok": ok, "epoch": tf.cast(epoch, tf.int64), "name": name, "reason": reason}


def count_bad(
    examples: tf.data.Dataset, limit: int, title: Callable, report: bool = True
) -> tf.data.Dataset:
    """Names each bad example on stderr, and says at the end of an epoch how many there were.

    Args:
      examples: elements with the `marks` of a tolerant loader.
      limit: how many an epoch may have; one more is an error.
      title: int64 epoch to what to call it, both scalar tensors.
      report: False counts without printing.
    """
    none = tf.constant(0, tf.int64)

    def step(state, example):
        epoch, bad = state
        turned = example["epoch"] != epoch
        _print_if(
            report & turned & (bad > 0), lambda: [title(epoch), ": ", _text(bad), " skipped in all"]
        )
        bad = tf.where(turned, none, bad) + tf.cast(~example["ok"], tf.int64)
        _require(bad <= limit, lambda: (example["name"], example["reason"]))
        _print_if(
            report & ~example["ok"], lambda: ["skipped: ", example["name"], " ", example["reason"]]
        )
        return (example["epoch"], bad), example

    return examples.scan((none, none), step)


def fill_gaps(batch: dict) -> dict:
    """Replaces each bad example of a batch by a good one of the batch, the nearest before it.

    Good examples keep their places, so a resumed run still sees the batches of the uninterrupted
    one.

    Args:
      batch: a batch of examples with `marks`.
    """
    ok = batch["ok"]
    _require(tf.reduce_any(ok), lambda: (batch["name"][0], batch["reason"][0]))
    rows = tf.range(tf.shape(ok)[0])
    last_good = tf.scan(tf.maximum, tf.where(ok, rows, -1))
    first_good = tf.argmax(tf.cast(ok, tf.int32), output_type=tf.int32)
    rows = tf.maximum(last_good, first_good)
    return {key: tf.gather(value, rows) for key, value in batch.items()}


def _require(condition: tf.Tensor, describe: Callable) -> None:
    """Fails with name and reason in a form that `failures.explain` can read."""

    def fail():
        name, reason = describe()
        return tf.debugging.Assert(False, [BAD_EXAMPLE, reason, name])

    tf.cond(condition, tf.no_op, fail)


def _print_if(condition: tf.Tensor, parts: Callable[[], list]) -> None:
    """Prints to stderr; one string, because TensorFlow puts several between quotes."""
    tf.cond(condition, lambda: tf.print(tf.strings.join(parts())), tf.no_op)


_text = tf.strings.as_string
