"""Numbers that all workers of a run hold in common.

Every worker runs the same program, and a collective operation waits until all of them take part.
A number that decides how many steps to run, or whether to run at all, must therefore be the same
everywhere. One that comes from a worker's own clock, disk or signals is exchanged here first. With
one worker nothing is exchanged.

All workers must call these functions in the same order.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping

import tensorflow as tf

from efficientnet_tf.config import UserError
from efficientnet_tf.train.distribute import num_workers


def agree(strategy: tf.distribute.Strategy, value: int, flag: bool) -> tuple[int, bool]:
    """The chief's `value`, and whether `flag` is set in any worker, in one exchange.

    Args:
      value: of this worker; exact within int64.
      flag: of this worker.
    """
    if num_workers(strategy) == 1:
        return value, flag
    total, count = _exchange(strategy)(tf.constant([value, int(flag)], tf.int64)).numpy()
    return int(total), bool(count)


def chief_value(strategy: tf.distribute.Strategy, value: int) -> int:
    """The chief's `value`, in every worker."""
    return agree(strategy, value, False)[0]


def any_worker(strategy: tf.distribute.Strategy, flag: bool) -> bool:
    """Whether `flag` is set in any worker. Returns only when all of them have asked."""
    return agree(strategy, 0, flag)[1]


@contextlib.contextmanager
def fail_together(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """If the block fails in one worker, it fails in all of them instead of leaving some waiting.

    Nothing inside the block may communicate.

    Raises:
      UserError: another worker failed. The worker that failed raises its own error.
    """
    try:
        yield
    except Exception:
        any_worker(strategy, True)
        raise
    if any_worker(strategy, False):
        raise UserError("another worker of this run failed; its output says why")


def require_equal(strategy: tf.distribute.Strategy, values: Mapping[str, int]) -> None:
    """Checks that every worker was given the chief's numbers.

    Args:
      values: by flag.

    Raises:
      UserError: in every worker, if one of them differs.
    """
    for flag, value in values.items():
        chief = chief_value(strategy, value)
        with fail_together(strategy):
            if value != chief:
                raise UserError(
                    f"--{flag}={value} in this worker, {chief} in the chief; start all workers "
                    "with the same flags"
                )


@functools.cache
def _exchange(strategy) -> Callable[[tf.Tensor], tf.Tensor]:
    """Sums int64 `[value, flag]` over the workers, the value of all but the chief being 0."""

    def contribution(pair):
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        # The first replica is the chief's: TensorFlow numbers the chief's worker 0.
        return tf.where([replica == 0, True], pair, tf.zeros_like(pair))

    @tf.function
    def exchange(pair):
        pairs = strategy.run(contribution, args=(pair,))
        return strategy.reduce(tf.distribute.ReduceOp.SUM, pairs, axis=None)

    return exchange
