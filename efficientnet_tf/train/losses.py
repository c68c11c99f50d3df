"""The training objective: smoothed cross-entropy plus weight decay."""

from collections.abc import Iterable

import keras
import tensorflow as tf

from efficientnet_tf.train.variable_roles import is_batch_norm


def cross_entropy(labels: tf.Tensor, logits: tf.Tensor, label_smoothing: float) -> tf.Tensor:
    """Softmax cross-entropy of each example, float32 [N].

    Args:
      labels: class probabilities [N, classes]; one-hot, or a mixture from mixup.
      logits: [N, classes], any float type.
      label_smoothing: share of each label spread evenly over all classes, 0..1.
    """
    logits = tf.cast(logits, tf.float32)
    if label_smoothing:
        classes = tf.cast(tf.shape(labels)[-1], tf.float32)
        labels = labels * (1.0 - label_smoothing) + label_smoothing / classes
    return tf.nn.softmax_cross_entropy_with_logits(labels, logits)


def decayed_variables(variables: Iterable[keras.Variable]) -> list[keras.Variable]:
    """The variables weight decay applies to: all but batch norm's, biases included."""
    return [v for v in variables if not is_batch_norm(v)]


def weight_decay(variables: Iterable[keras.Variable]) -> tf.Tensor:
    """Half the sum of squares of the variables that decay, a float32 scalar."""
    return tf.add_n([tf.nn.l2_loss(v.value) for v in decayed_variables(variables)])
