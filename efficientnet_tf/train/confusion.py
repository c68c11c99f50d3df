"""Which classes an evaluation takes for which."""

import numpy as np
import tensorflow as tf

from efficientnet_tf.train.accuracy import predicted_classes
from efficientnet_tf.train.replica_sums import ReplicaTable

# The matrix of 4,096 classes takes 64 MiB on every replica, that of 21,841 would take 2 GB.
MOST_CLASSES = 4096


class ConfusionMatrix:
    """An `Observer` that counts the images of each pair of true and predicted class.

    Args:
      strategy: of the replicas that evaluate.
      num_classes: width of the classifier, up to `MOST_CLASSES`.
    """

    def __init__(self, strategy: tf.distribute.Strategy, num_classes: int):
        # float32 counts exactly up to 16.7 million images of one pair.
        self._table = ReplicaTable(strategy, [num_classes, num_classes])

    def reset(self) -> None:
        """Forgets the pass before."""
        self._table.reset()

    def add(self, images, labels, logits, counted) -> None:
        """See `Observer.add`."""
        del images
        rows, columns = self._table.shape
        places = labels * columns + predicted_classes(labels, logits)
        counts = tf.math.unsorted_segment_sum(counted, places, rows * columns)
        self._table.add(tf.reshape(counts, [rows, columns]))

    def read(self) -> np.ndarray:
        """Counts over all replicas, int64 [true class, predicted class]; every worker must read."""
        return self._table.read().astype(np.int64)
