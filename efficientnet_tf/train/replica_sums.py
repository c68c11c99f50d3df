"""A table of numbers that every replica adds to and that is summed over replicas when read."""

from collections.abc import Sequence

import tensorflow as tf


class ReplicaSums:
    """Named float32 sums, in one row or several.

    Each replica adds to a copy of its own without communication; only `read` adds up the copies,
    over all workers.

    Args:
      strategy: of the replicas that add.
      names: of the columns.
      rows: how many.
    """

    def __init__(self, strategy: tf.distribute.Strategy, names: Sequence[str], rows: int = 1):
        self.names = tuple(names)
        with strategy.scope():
            self._table = tf.Variable(
                tf.zeros([rows, len(self.names)]),
                trainable=False,
                synchronization=tf.VariableSynchronization.ON_READ,
                aggregation=tf.VariableAggregation.SUM,
            )

    def reset(self) -> None:
        """Sets every sum to 0."""
        self._table.assign(tf.zeros_like(self._table))

    def add(self, values: Sequence[tf.Tensor] | tf.Tensor, row: tf.Tensor | int = 0) -> None:
        """Adds one value to each column of a row; called inside a replica.

        Args:
          values: float32 [columns], in the order of `names`.
          row: index of the row.
        """
        selected = tf.one_hot(row, self._table.shape[0])
        self._table.assign_add(selected[:, None] * tf.convert_to_tensor(values)[None, :])

    def read(self) -> list[dict[str, float]]:
        """The sums over all replicas, one mapping a row; every worker must read."""
        rows = self._table.numpy().astype(float).tolist()
        return [dict(zip(self.names, row, strict=True)) for row in rows]
