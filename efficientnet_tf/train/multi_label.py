"""Evaluation where an image has any number of labels.

Average precision depends on the order of all scores of a class. Here the scores are counted in bins
as they come, so that memory does not grow with the data and every shape is known to a TPU: what
`keras.metrics.AUC` does with its thresholds.
"""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from efficientnet_tf.train.evaluator import Evaluator
from efficientnet_tf.train.replica_sums import ReplicaTable

_BINS = 2048


@dataclass(frozen=True)
class MultiLabelEvaluation:
    """The result of an evaluation.

    Attributes:
      mean_average_precision: mean over the classes that have a positive example of the area under
        precision over recall, as scikit-learn's `average_precision_score` has it; 0..1.
      label_accuracy: share of all labels, 0 or 1, that the probability is on the right side of 1/2.
      subset_accuracy: share of the images of which every label is.
      loss: mean of the training's loss, without smoothing, class weights and weight decay.
      num_images: how many were counted.
      images_per_second: the input pipeline included.
    """

    mean_average_precision: float
    label_accuracy: float
    subset_accuracy: float
    loss: float
    num_images: int
    images_per_second: float

    def __str__(self) -> str:
        return (
            f"mean average precision {self.mean_average_precision:.2%}, right labels "
            f"{self.label_accuracy:.2%}, all right {self.subset_accuracy:.2%} of {self.num_images} "
            f"images, loss {self.loss:.4f}"
        )

    def curves(self) -> dict[str, float]:
        """Values by TensorBoard's tag."""
        return {
            "accuracy/mean_average_precision": self.mean_average_precision,
            "accuracy/label": self.label_accuracy,
            "accuracy/subset": self.subset_accuracy,
            "loss/cross_entropy": self.loss,
            "run/images_per_second": self.images_per_second,
        }


class MultiLabelEvaluator(Evaluator):
    """An `Evaluator` whose labels are float32 [N, classes]; a row of -1 marks padding."""

    _MEASURES = ("loss", "label", "subset")

    def __init__(self, strategy, model, *args, **kwargs):
        super().__init__(strategy, model, *args, **kwargs)
        # By class and bin of scores: how many labels are 1, and how many are 0.
        self._counts = ReplicaTable(strategy, [2, model.output_shape[-1], _BINS])

    def evaluate(self) -> MultiLabelEvaluation:
        """One pass over the data."""
        self._counts.reset()
        means, seen, rate = self._pass()
        precisions = average_precisions(*self._counts.read())
        known = precisions[~np.isnan(precisions)]
        mean = float(known.mean()) if known.size else 0.0
        return MultiLabelEvaluation(
            mean, means["label"], means["subset"], means["loss"], seen, rate
        )

    def _measure(self, labels, logits, counted):
        positive = labels * counted[:, None]
        negative = counted[:, None] - positive
        self._counts.add(tf.stack([_histogram(logits, n) for n in (positive, negative)]))
        right = tf.cast((logits > 0) == (labels > 0), tf.float32)
        return {
            "loss": self.objective(labels, logits, 0.0),
            "label": tf.reduce_mean(right, axis=-1),
            "subset": tf.reduce_min(right, axis=-1),
        }


def _histogram(logits: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
    """Adds up `counts` [N, classes] by class and bin of the logit, float32 [classes, _BINS].

    The bins are equal in softsign, x / (1 + |x|), which has no limits and is fine around 0.
    """
    classes = logits.shape[-1]
    places = tf.cast((tf.nn.softsign(logits) + 1.0) * (_BINS / 2), tf.int32)
    places = tf.clip_by_value(places, 0, _BINS - 1) + tf.range(classes) * _BINS
    sums = tf.math.unsorted_segment_sum(counts, places, classes * _BINS)
    return tf.reshape(sums, [classes, _BINS])


def average_precisions(positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
    """The average precision of each class, float64 [classes]; NaN for one without positives.

    Args:
      positive, negative: how many examples of a class with label 1 and 0 have a score in each bin,
        [classes, bins], the lowest scores first.
    """
    positive, negative = (n[:, ::-1].astype(np.float64) for n in (positive, negative))
    hits, misses = (np.cumsum(n, axis=1) for n in (positive, negative))
    # Within a bin the order is unknown: on average a positive has half of the others before it.
    hits_there, misses_there = hits - (positive - 1) / 2, misses - negative / 2
    precision = hits_there / np.maximum(hits_there + misses_there, 1)
    with np.errstate(invalid="ignore"):
        return (precision * positive).sum(axis=1) / hits[:, -1]
