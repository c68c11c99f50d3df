"""The device loop: many optimizer steps inside one call, measured as they go."""

import math

import numpy as np
import tensorflow as tf

from efficientnet_tf.train.step import MEASURES, TrainStep


class DeviceLoop:
    """Runs a `TrainStep` on every replica, `steps` at a time, in one `tf.function`.

    Args:
      strategy: the one the step's variables were created under.
      step: what each replica does.
      dataset: distributed, infinite.
      max_steps: the most steps of one call.
      log_every: steps averaged into one row of measures.
    """

    def __init__(self, strategy, step: TrainStep, dataset, max_steps: int, log_every: int):
        self.strategy, self.step = strategy, step
        self.log_every = min(log_every, max_steps)
        self._iterator = iter(dataset)
        rows = math.ceil(max_steps / self.log_every)
        with strategy.scope():
            # Each replica adds up its own table; only reading it adds the replicas.
            self._table = tf.Variable(
                tf.zeros([rows, len(MEASURES)]),
                trainable=False,
                synchronization=tf.VariableSynchronization.ON_READ,
                aggregation=tf.VariableAggregation.SUM,
            )

    def run(self, steps: int) -> list[dict[str, float]]:
        """Runs `steps` optimizer steps, the same number in every worker.

        Returns:
          One row for each `log_every` steps, the last may be shorter: `steps` in the row and the
          mean over them of every measure in `MEASURES`.
        """
        self._table.assign(tf.zeros_like(self._table))
        self._run(self._iterator, tf.constant(steps))
        sums = self._table.numpy()
        counts = [min(self.log_every, steps - start) for start in range(0, steps, self.log_every)]
        return [
            {"steps": count, **dict(zip(MEASURES, np.float64(row) / count, strict=True))}
            for count, row in zip(counts, sums, strict=False)
        ]

    @tf.function
    def _run(self, iterator, steps):
        for index in tf.range(steps):
            row = index // self.log_every
            self.strategy.run(self._replica_step, args=(next(iterator), row))
        if self.strategy.num_replicas_in_sync > 1:
            self.strategy.run(self._synchronise)

    def _replica_step(self, batch, row):
        measures = self.step(batch)
        rows = self._table.shape[0]
        self._table.assign_add(tf.one_hot(row, rows)[:, None] * measures[None, :])

    def _synchronise(self):
        """Averages the batch-norm statistics, and their moving averages, over the replicas.

        Between calls every replica keeps its own, which costs nothing; averaging is linear, so the
        result is the same as if it were done at each step.
        """
        statistics = [v for v in self.step.model.weights if not v.trainable]
        variables = [v.value for v in statistics if "moving_" in v.path]
        if ema := self.step.ema:
            variables += [
                shadow
                for shadow, variable in zip(ema.shadows, ema.variables, strict=True)
                if "moving_" in variable.path
            ]
        context = tf.distribute.get_replica_context()
        packed = tf.concat([tf.identity(v) for v in variables], axis=0)
        mean = context.all_reduce(tf.distribute.ReduceOp.MEAN, packed)
        parts = tf.split(mean, [v.shape[0] for v in variables])
        for variable, part in zip(variables, parts, strict=True):
            variable.assign(part)
