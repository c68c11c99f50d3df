"""Top-1, top-5 and cross-entropy over every image of a data set, once."""

import math
import sys
import time
from dataclasses import dataclass

import keras
import tensorflow as tf

from efficientnet_tf.train.agreement import chief_value
from efficientnet_tf.train.progress import Progress

_STEPS_PER_CALL = 32


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation.

    Attributes:
      top_1_accuracy, top_5_accuracy: 0..1.
      loss: mean cross-entropy against the true classes, without smoothing or weight decay.
      num_images: how many were counted.
      images_per_second: the input pipeline included.
    """

    top_1_accuracy: float
    top_5_accuracy: float
    loss: float
    num_images: int
    images_per_second: float


def warn_of_unit_range() -> None:
    """Says that the pictures look as if they had been scaled to 0..1."""
    print(
        "warning: no pixel is above 1; the network expects RGB in 0..255",
        file=sys.stderr,
        flush=True,
    )


class Evaluator:
    """Evaluates one model on one data set, as often as asked.

    Args:
      strategy: the one the model's variables were created under.
      model: from images to logits [N, classes].
      dataset: distributed; `image`, and `label` int [N] in which -1 marks padding. It ends in
        padding without end, so that every step has the same shape on every replica.
      batch_size: examples per step over all replicas.
      num_images: None if unknown.
    """

    def __init__(self, strategy, model: keras.Model, dataset, batch_size, num_images=None):
        self.strategy, self.model, self.dataset = strategy, model, dataset
        self.batch_size = batch_size
        self.num_images = chief_value(strategy, num_images or 0) or None
        self._warned = False
        with strategy.scope():
            self._sums = tf.Variable(
                tf.zeros([5]),
                trainable=False,
                synchronization=tf.VariableSynchronization.ON_READ,
                aggregation=tf.VariableAggregation.SUM,
            )

    def evaluate(self) -> Evaluation:
        """One pass over the data."""
        iterator, started = iter(self.dataset), time.perf_counter()
        progress = Progress("evaluation", self.num_images, unit="image")
        self._sums.assign(tf.zeros([5]))
        seen, added, steps = 0, None, self._next_steps(0, full=True)
        while added != 0 and not (self.num_images and seen >= self.num_images):
            self._run(iterator, tf.constant(steps))
            total = int(self._sums.numpy()[3])
            seen, added = total, total - seen
            progress.update(seen)
            steps = self._next_steps(seen, full=added == steps * self.batch_size)
        progress.close()
        sums = (float(value) / max(seen, 1) for value in self._sums.numpy())
        loss, top_1, top_5, _, bright = sums
        if seen and not bright and not self._warned:
            warn_of_unit_range()
            self._warned = True
        return Evaluation(top_1, top_5, loss, seen, seen / (time.perf_counter() - started))

    def _next_steps(self, seen, full):
        """Steps of the next call: as many as are left, or one after another into the padding."""
        if self.num_images:
            return min(_STEPS_PER_CALL, math.ceil((self.num_images - seen) / self.batch_size))
        return _STEPS_PER_CALL if full else 1

    @tf.function
    def _run(self, iterator, steps):
        for _ in tf.range(steps):
            self.strategy.run(self._replica_step, args=(next(iterator),))

    def _replica_step(self, batch):
        logits = tf.cast(self.model(batch["image"], training=False), tf.float32)
        counted = tf.cast(batch["label"] >= 0, tf.float32)
        labels = tf.maximum(batch["label"], 0)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        hits = [
            tf.cast(keras.ops.in_top_k(labels, logits, k=min(k, logits.shape[-1])), tf.float32)
            for k in (1, 5)
        ]
        sums = [tf.reduce_sum(value * counted) for value in (losses, *hits)]
        bright = tf.cast(tf.reduce_max(batch["image"], [1, 2, 3]) > 1.0, tf.float32)
        sums += [tf.reduce_sum(counted), tf.reduce_sum(bright * counted)]
        self._sums.assign_add(tf.stack(sums))
