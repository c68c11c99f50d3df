"""The training objectives, one number for each example, and weight decay."""

from collections.abc import Callable, Iterable, Sequence

import keras
import tensorflow as tf

from efficientnet_tf.train.variable_roles import is_batch_norm


def cross_entropy(
    labels: tf.Tensor,
    logits: tf.Tensor,
    label_smoothing: float,
    class_weights: Sequence[float] | None = None,
) -> tf.Tensor:
    """Softmax cross-entropy of each example, float32 [N].

    Args:
      labels: class probabilities [N, classes]; one-hot, or a mixture from mixup.
      logits: [N, classes], any float type.
      label_smoothing: share of each label spread evenly over all classes, 0..1.
      class_weights: [classes]; an example weighs what its class does, a mixture the mean of its
        classes' weights.
    """
    logits = tf.cast(logits, tf.float32)
    examples = tf.nn.softmax_cross_entropy_with_logits(_smoothed(labels, label_smoothing), logits)
    if class_weights is None:
        return examples
    return examples * tf.linalg.matvec(labels, tf.constant(class_weights, tf.float32))


def binary_cross_entropy(
    labels: tf.Tensor,
    logits: tf.Tensor,
    label_smoothing: float,
    class_weights: Sequence[float] | None = None,
) -> tf.Tensor:
    """Sigmoid cross-entropy of each example, the mean over its classes, float32 [N].

    Mean and smoothing are those of timm's `BinaryCrossEntropy`; Keras takes the same mean, and its
    smoothing means the same where there are two classes.

    Args:
      labels: [N, classes], 0..1: one-hot, several ones, none, or mixtures of these.
      logits: [N, classes], any float type.
      label_smoothing: each label moves by this share towards 1 / classes, a single one towards 1/2.
      class_weights: [classes]; what a class weighs where its label is 1, PyTorch's `pos_weight`.
    """
    terms = _binary_terms(_smoothed(labels, label_smoothing), logits, class_weights)
    return tf.reduce_mean(terms, axis=-1)


def focal_cross_entropy(
    labels: tf.Tensor,
    logits: tf.Tensor,
    label_smoothing: float,
    class_weights: Sequence[float] | None = None,
    gamma: float = 2.0,
    alpha: float = 0.25,
) -> tf.Tensor:
    """The focal loss of Lin et al. (arXiv:1708.02002), the mean over the classes, float32 [N].

    `binary_cross_entropy` in which an answer counts less the better it is already.

    Args:
      gamma: how much less; 0 for not at all.
      alpha: weight of the labels that are 1; the others have 1 - alpha.
    """
    labels = _smoothed(labels, label_smoothing)
    probabilities = tf.sigmoid(tf.cast(logits, tf.float32))
    missed = labels * (1.0 - probabilities) + (1.0 - labels) * probabilities
    balance = labels * alpha + (1.0 - labels) * (1.0 - alpha)
    terms = _binary_terms(labels, logits, class_weights)
    return tf.reduce_mean(balance * missed**gamma * terms, axis=-1)


# By the name that `TrainConfig.loss` gives them.
OBJECTIVES: dict[str, Callable[..., tf.Tensor]] = {
    "softmax": cross_entropy,
    "sigmoid": binary_cross_entropy,
    "focal": focal_cross_entropy,
}


def _smoothed(labels: tf.Tensor, label_smoothing: float) -> tf.Tensor:
    if not label_smoothing:
        return labels
    classes = tf.cast(tf.maximum(tf.shape(labels)[-1], 2), tf.float32)
    return labels * (1.0 - label_smoothing) + label_smoothing / classes


def _binary_terms(labels, logits, class_weights) -> tf.Tensor:
    """Binary cross-entropy of each label, float32 [N, classes]."""
    logits = tf.cast(logits, tf.float32)
    weights = tf.constant(1.0 if class_weights is None else class_weights, tf.float32)
    return tf.nn.weighted_cross_entropy_with_logits(labels, logits, weights)


def decayed_variables(variables: Iterable[keras.Variable]) -> list[keras.Variable]:
    """The variables weight decay applies to: all but batch norm's, biases included."""
    return [v for v in variables if not is_batch_norm(v)]


def weight_decay(variables: Iterable[keras.Variable]) -> tf.Tensor:
    """Half the sum of squares of the variables that decay, a float32 scalar."""
    return tf.add_n([tf.nn.l2_loss(v.value) for v in decayed_variables(variables)])
