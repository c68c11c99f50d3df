"""The device loop: many optimizer steps inside one call, measured as they go."""

import math
import time

import tensorflow as tf

from efficientnet_tf.train.replica_sums import ReplicaSums
from efficientnet_tf.train.step import MEASURES, TrainStep
from efficientnet_tf.train.variable_roles import is_moving_statistic

# A device that is bound by its batches has one step to do after the last of them.
_STEPS_BEHIND = 2.0


class DeviceLoop:
    """Runs a `TrainStep` on every replica, many times in one call of a `tf.function`.

    Attributes:
      input_wait: the part, 0..1, of the last call's time in which there was no batch to work on.
        The update of the weights counts as such, a few hundredths. 0 where the device still had
        steps to do after the last batch had come: some devices only queue their work.

    Args:
      strategy: the one the variables of `train_step` were created under.
      train_step: what each replica does.
      dataset: distributed, infinite.
      max_steps: the most steps of one call.
      log_every: steps averaged into one row of measures.
    """

    def __init__(
        self,
        strategy: tf.distribute.Strategy,
        train_step: TrainStep,
        dataset: tf.distribute.DistributedDataset,
        max_steps: int,
        log_every: int,
    ):
        self.strategy, self.train_step = strategy, train_step
        self.log_every = min(log_every, max_steps)
        self.input_wait = 0.0
        self._iterator = iter(dataset)
        self._sums = ReplicaSums(strategy, MEASURES, rows=math.ceil(max_steps / self.log_every))

    def run(self, steps: int) -> list[dict[str, float]]:
        """Runs `steps` optimizer steps, the same number in every worker.

        Returns:
          One row for each `log_every` steps, the last may be shorter: `steps` in the row and the
          mean over them of every measure in `MEASURES`.
        """
        self._sums.reset()
        began = time.time()
        waited, last_batch = self._run(self._iterator, tf.constant(steps))
        sums, ended = self._sums.read(), time.time()
        behind = ended - float(last_batch) > _STEPS_BEHIND * (ended - began) / steps
        self.input_wait = 0.0 if behind else float(waited) / (ended - began)
        counts = [min(self.log_every, steps - start) for start in range(0, steps, self.log_every)]
        return [
            {"steps": count, **{name: total / count for name, total in sums.items()}}
            for count, sums in zip(counts, sums, strict=False)
        ]

    @tf.function
    def _run(self, iterator, steps):
        """Returns the seconds without a batch to work on, and when the last one had come.

        A batch is asked for while the step before it is computed.
        """
        waited, last_batch, done = tf.zeros([], tf.float64), _now(), _now()
        for index in tf.range(steps):
            batch = next(iterator)
            last_batch = _now(after=batch)
            waited += tf.maximum(last_batch - done, 0.0)
            with tf.control_dependencies([last_batch]):  # else it is looked up when there is time
                batch = tf.nest.map_structure(tf.identity, batch, expand_composites=True)
            row = index // self.log_every
            done = _now(after=self.strategy.run(self._replica_step, args=(batch, row)))
        if self.strategy.num_replicas_in_sync > 1:
            self.strategy.run(self._average_statistics)
        return waited, last_batch

    # Without it AutoGraph rewrites all Python that a step is made of, Keras' too, for seconds.
    @tf.autograph.experimental.do_not_convert
    def _replica_step(self, batch, row):
        measures = self.train_step(batch)
        self._sums.add(measures, row)
        return measures

    @tf.autograph.experimental.do_not_convert
    def _average_statistics(self):
        """Averages the batch-norm statistics, and their moving averages, over the replicas.

        Within a call every replica keeps its own, which costs no communication; averaging is
        linear, so the result is the same as if it were done at each step.
        """
        weights = self.train_step.model.weights
        variables = [v.value for v in weights if is_moving_statistic(v)]
        if ema := self.train_step.ema:
            averages = zip(ema.shadows, ema.variables, strict=True)
            variables += [shadow for shadow, v in averages if is_moving_statistic(v)]
        context = tf.distribute.get_replica_context()
        packed = tf.concat([tf.identity(v) for v in variables], axis=0)
        mean = context.all_reduce(tf.distribute.ReduceOp.MEAN, packed)
        parts = tf.split(mean, [v.shape[0] for v in variables])
        for variable, part in zip(variables, parts, strict=True):
            variable.assign(part)


def _now(after: object = ()) -> tf.Tensor:
    """Seconds of the host's clock, float64, when all tensors of a structure have been computed."""
    with tf.control_dependencies(tf.nest.flatten(after, expand_composites=True)):
        return tf.timestamp()
