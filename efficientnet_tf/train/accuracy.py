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
