"""Evaluation beside training: the next checkpoint of a run that is still going on."""

import time

import tensorflow as tf

from efficientnet_tf.config import UserError
from efficientnet_tf.train.agreement import chief_value, fail_together
from efficientnet_tf.train.distribute import is_chief
from efficientnet_tf.weights.formats.run_checkpoint import checkpoint_step, list_checkpoints

_POLL_SECONDS = 10
_NONE = -1


def next_checkpoint(
    strategy: tf.distribute.Strategy, folder: str, done: int, timeout: float
) -> str | None:
    """The newest checkpoint after step `done`, waited for `timeout` seconds, or None.

    The chief looks, and all workers evaluate what it found: each looking for itself, they would
    evaluate different checkpoints or different numbers of them, and wait for each other for ever.

    Raises:
      UserError: in every worker, if one cannot see the chief's checkpoint.
    """
    step = _wait(folder, done, timeout) if is_chief(strategy) else _NONE
    step = chief_value(strategy, step)
    if step == _NONE:
        return None
    with fail_together(strategy):
        return _checkpoint_of(folder, step)


def _checkpoint_of(folder: str, step: int) -> str:
    for prefix in list_checkpoints(folder):
        if checkpoint_step(prefix) == step:
            return prefix
    raise UserError(
        f"{folder}: the chief found a checkpoint of step {step} that is not here; give all workers "
        "the same shared folder"
    )


def _wait(folder: str, done: int, timeout: float) -> int:
    deadline = time.monotonic() + timeout
    while True:
        prefixes = list_checkpoints(folder)
        if prefixes and checkpoint_step(prefixes[0]) > done:
            return checkpoint_step(prefixes[0])
        if time.monotonic() >= deadline:
            return _NONE
        time.sleep(min(_POLL_SECONDS, timeout))
