"""Top-1, top-5 and cross-entropy over every image of a data set, once."""

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import tensorflow as tf

from efficientnet_tf.config import DEFAULT_LOSS
from efficientnet_tf.train.accuracy import top_k_hits
from efficientnet_tf.train.agreement import chief_value
from efficientnet_tf.train.losses import OBJECTIVES
from efficientnet_tf.train.observer import Observer
from efficientnet_tf.train.progress import Progress
from efficientnet_tf.train.replica_sums import ReplicaSums

_STEPS_PER_CALL = 32
# Counted of every evaluation; `above_one` are the images that have a value above 1.
_COUNTS = ("images", "above_one")


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation.

    Attributes:
      top_1_accuracy, top_5_accuracy: 0..1.
      loss: mean of the training's loss, without smoothing, class weights and weight decay.
      num_images: how many were counted.
      images_per_second: the input pipeline included.
    """

    top_1_accuracy: float
    top_5_accuracy: float
    loss: float
    num_images: int
    images_per_second: float

    def __str__(self) -> str:
        return (
            f"top-1 {self.top_1_accuracy:.2%}, top-5 {self.top_5_accuracy:.2%} of "
            f"{self.num_images} images, loss {self.loss:.4f}"
        )

    def curves(self) -> dict[str, float]:
        """Values by TensorBoard's tag."""
        return {
            "accuracy/top_1": self.top_1_accuracy,
            "accuracy/top_5": self.top_5_accuracy,
            "loss/cross_entropy": self.loss,
            "run/images_per_second": self.images_per_second,
        }


def warn_of_unit_range() -> None:
    """Says on stderr that the images look as if they had been scaled to 0..1."""
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
      dataset: distributed; `image`, and `label` int [N] in which -1 marks padding. After the
        images it goes on with batches of padding for ever, so that every step has the same shape
        on every replica.
      batch_size: examples per step over all replicas.
      num_images: None if unknown; the chief's number counts.
      verbose: whether to show progress.
      loss: the objective by its name in `losses.OBJECTIVES`.
      observers: see every batch too.
    """

    _MEASURES = ("loss", "top_1", "top_5")

    def __init__(
        self,
        strategy: tf.distribute.Strategy,
        model: keras.Model,
        dataset: tf.distribute.DistributedDataset,
        batch_size: int,
        num_images: int | None = None,
        verbose: bool = True,
        loss: str = DEFAULT_LOSS,
        observers: Sequence[Observer] = (),
    ):
        self.strategy, self.model, self.dataset = strategy, model, dataset
        self.batch_size, self.verbose, self.observers = batch_size, verbose, observers
        self.num_images = chief_value(strategy, num_images or 0) or None
        self._warned = False
        self.objective = OBJECTIVES[loss]
        self._sums = ReplicaSums(strategy, (*self._MEASURES, *_COUNTS))

    def evaluate(self) -> Evaluation:
        """One pass over the data."""
        means, seen, rate = self._pass()
        return Evaluation(means["top_1"], means["top_5"], means["loss"], seen, rate)

    def _pass(self) -> tuple[dict[str, float], int, float]:
        """Means of the measures over all images, how many these are, and how many a second.

        The number of steps follows from the sums over all replicas, so it is the same in every
        worker.
        """
        iterator, started = iter(self.dataset), time.perf_counter()
        progress = Progress("evaluation", self.num_images, unit="image", enabled=self.verbose)
        for watched in (self._sums, *self.observers):
            watched.reset()
        sums = dict.fromkeys(self._sums.names, 0.0)
        seen, added, steps = 0, None, self._next_steps(0, full=True)
        while added != 0 and not (self.num_images and seen >= self.num_images):
            self._run(iterator, tf.constant(steps))
            (sums,) = self._sums.read()
            seen, added = int(sums["images"]), int(sums["images"]) - seen
            progress.update(seen)
            steps = self._next_steps(seen, full=added == steps * self.batch_size)
        progress.close()
        if seen and not sums["above_one"] and not self._warned:
            warn_of_unit_range()
            self._warned = True
        means = {name: sums[name] / max(seen, 1) for name in self._MEASURES}
        return means, seen, seen / (time.perf_counter() - started)

    def _next_steps(self, seen, full):
        """Steps of the next call: those that are left.

        If their number is unknown, many as long as calls come back `full` of images, then one at a
        time until a step of nothing but padding.
        """
        if self.num_images:
            return min(_STEPS_PER_CALL, math.ceil((self.num_images - seen) / self.batch_size))
        return _STEPS_PER_CALL if full else 1

    @tf.function
    def _run(self, iterator, steps):
        for _ in tf.range(steps):
            self.strategy.run(self._replica_step, args=(next(iterator),))

    @tf.autograph.experimental.do_not_convert
    def _replica_step(self, batch):
        logits = tf.cast(self.model(batch["image"], training=False), tf.float32)
        first = batch["label"] if batch["label"].shape.rank == 1 else batch["label"][:, 0]
        counted = tf.cast(first >= 0, tf.float32)
        labels = tf.maximum(batch["label"], 0)
        above_one = tf.reduce_max(batch["image"], [1, 2, 3]) > 1.0
        values = {
            **self._measure(labels, logits, counted),
            "images": tf.ones_like(counted),
            "above_one": tf.cast(above_one, tf.float32),
        }
        self._sums.add([tf.reduce_sum(values[name] * counted) for name in self._sums.names])
        for observer in self.observers:
            observer.add(batch["image"], labels, logits, counted)

    def _measure(self, labels, logits, counted) -> dict[str, tf.Tensor]:
        """The measures of each example, float32 [N]; `counted` is 0 for padding, else 1."""
        one_hot = tf.one_hot(labels, logits.shape[-1])
        return {
            "loss": self.objective(one_hot, logits, 0.0),
            "top_1": top_k_hits(labels, logits, 1),
            "top_5": top_k_hits(labels, logits, 5),
        }
