"""Top-k accuracy, of training and of evaluation."""

import keras
import tensorflow as tf


def top_k_hits(labels: tf.Tensor, logits: tf.Tensor, k: int) -> tf.Tensor:
    """1 for each example whose class is among the `k` largest logits, else 0; float32 [N].

    Args:
      labels: class indices, int [N].
      logits: [N, classes]; with fewer than `k` classes every example is a hit.
    """
    hits = keras.ops.in_top_k(labels, logits, k=min(k, logits.shape[-1]))
    return tf.cast(hits, tf.float32)


def predicted_classes(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """The likeliest class of each example, int32 [N]; the true one if it shares the first place.

    So an example has its own class exactly where `top_k_hits` counts a hit.

    Args:
      labels: class indices, int32 [N].
      logits: [N, classes].
    """
    likeliest = tf.argmax(logits, axis=-1, output_type=tf.int32)
    return tf.where(top_k_hits(labels, logits, 1) > 0, labels, likeliest)
