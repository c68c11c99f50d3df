"""Tables of numbers that every replica adds to and that are summed over replicas when read."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf


class ReplicaTable:
    """Float32 sums in an array of a fixed shape.

    Each replica adds to a copy of its own without communication; only `read` adds up the copies,
    over all workers.

    Args:
      strategy: of the replicas that add.
      shape: of the array.
    """

    def __init__(self, strategy: tf.distribute.Strategy, shape: Sequence[int]):
        self.shape = tuple(shape)
        with strategy.scope():
            self._table = tf.Variable(
                tf.zeros(self.shape),
                trainable=False,
                synchronization=tf.VariableSynchronization.ON_READ,
                aggregation=tf.VariableAggregation.SUM,
            )

    def reset(self) -> None:
        """Sets every sum to 0."""
        self._table.assign(tf.zeros(self.shape))  # zeros_like would sum the replicas first

    def add(self, values: tf.Tensor) -> None:
        """Adds an array of the table's shape, float32; called inside a replica."""
        self._table.assign_add(values)

    def read(self) -> np.ndarray:
        """The sums over all replicas; every worker must read."""
        return self._table.numpy()


class ReplicaSums:
    """Named sums, in one row or several.

    Args:
      strategy: of the replicas that add.
      names: of the columns.
      rows: how many.
    """

    def __init__(self, strategy: tf.distribute.Strategy, names: Sequence[str], rows: int = 1):
        self.names = tuple(names)
        self._table = ReplicaTable(strategy, [rows, len(self.names)])

    def reset(self) -> None:
        """Sets every sum to 0."""
        self._table.reset()

    def add(self, values: Sequence[tf.Tensor] | tf.Tensor, row: tf.Tensor | int = 0) -> None:
        """Adds one value to each column of a row; called inside a replica.

        Args:
          values: float32 [columns], in the order of `names`.
          row: index of the row.
        """
        selected = tf.range(self._table.shape[0]) == row
        # Not a product: 0 times NaN is NaN, in the rows of the good steps too.
        self._table.add(tf.where(selected[:, None], tf.convert_to_tensor(values)[None, :], 0.0))

    def read(self) -> list[dict[str, float]]:
        """The sums over all replicas, one mapping a row; every worker must read."""
        rows = self._table.read().astype(float).tolist()
        return [dict(zip(self.names, row, strict=True)) for row in rows]
