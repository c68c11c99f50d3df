"""Evaluation beside training: the checkpoints of a run that may still be going on."""

import sys
import time

import tensorflow as tf

from efficientnet_tf.config import UserError
from efficientnet_tf.train.agreement import any_worker, chief_value, fail_together
from efficientnet_tf.train.distribute import is_chief
from efficientnet_tf.weights.formats.run_checkpoint import (
    checkpoint_step,
    list_checkpoints,
    open_run,
)
from efficientnet_tf.weights.opened import OpenedWeights

_POLL_SECONDS = 10
_RETRY_SECONDS = 2  # a save may be in progress, or a bucket show only a part of one
_ROUNDS = 3
_NONE = -1


class CheckpointWatch:
    """Finds what to evaluate next in a run's folder, always the newest checkpoint there is.

    A checkpoint counts once its weights are read, all of them: only that shows damage, and training
    deletes old checkpoints at any time.

    The chief looks, and all workers evaluate what it found: each looking for itself, they would
    evaluate different checkpoints or different numbers of them, and wait for each other for ever.

    Args:
      strategy: of the workers.
      folder: the run's.
    """

    def __init__(self, strategy: tf.distribute.Strategy, folder: str):
        self.strategy, self.folder = strategy, folder
        self._was_there = False
        self._faults: dict[str, str] = {}  # of checkpoints, as far as they were told

    def next(self, done: int, timeout: float) -> OpenedWeights | None:
        """The newest readable checkpoint after step `done`, waited for, or None.

        A checkpoint that cannot be read is told in a line, and tried again until the time is over;
        meanwhile the one before it counts.

        Args:
          done: -1 for any checkpoint.
          timeout: seconds; with 0 nothing is waited for.

        Raises:
          UserError: in every worker, if the folder has disappeared, a worker cannot see what the
            chief sees, or `done` is -1 and there are checkpoints of which none can be read.
        """
        for rounds_left in reversed(range(_ROUNDS)):
            with fail_together(self.strategy):
                weights = self._wait(done, timeout) if is_chief(self.strategy) else None
            step = chief_value(self.strategy, weights.step if weights else _NONE)
            if step == _NONE:
                return None
            fault = None
            if not weights:
                weights, fault = _read(f"{self.folder.rstrip('/')}/ckpt-{step}")
            if not any_worker(self.strategy, fault is not None):
                return weights
            with fail_together(self.strategy):
                if fault and not rounds_left:
                    raise UserError(
                        f"{fault}, but the chief has read it; give all workers the same shared "
                        "folder"
                    )
            time.sleep(_RETRY_SECONDS)  # training may have deleted it after the chief had read it

    def _wait(self, done: int, timeout: float) -> OpenedWeights | None:
        """What `next` finds in the chief."""
        deadline = time.monotonic() + timeout
        while True:
            left = max(deadline - time.monotonic(), 0)
            weights, faults = self._look(done)
            news = [fault for prefix, fault in faults.items() if prefix not in self._faults]
            self._faults |= faults
            if news and (left or not weights):  # half saved, or deleted for a newer one
                if left:
                    _say(f"{news[0]}; looking again in {_RETRY_SECONDS} s")
                time.sleep(min(_RETRY_SECONDS, left))
            elif weights:
                if faults:
                    told = news or [f"{next(iter(faults))} still cannot be read"]
                    _say(f"{told[0]}; step {weights.step} is evaluated instead")
                return weights
            elif left:
                time.sleep(min(_POLL_SECONDS, left))
            elif faults and done == _NONE:
                raise self._none_readable(list(faults.values()))
            else:
                return None

    def _look(self, done: int) -> tuple[OpenedWeights | None, dict[str, str]]:
        """The newest readable checkpoint after `done`, and what is wrong with those after it."""
        is_there, faults = tf.io.gfile.isdir(self.folder), {}
        if self._was_there and not is_there:
            raise UserError(f"--model_dir={self.folder} has disappeared; nothing more to evaluate")
        self._was_there |= is_there
        for prefix in list_checkpoints(self.folder):
            if checkpoint_step(prefix) > done:
                weights, fault = _read(prefix)
                if weights:
                    return weights, faults
                faults[prefix] = fault
        return None, faults

    def _none_readable(self, faults: list[str]) -> UserError:
        if len(faults) == 1:
            return UserError(faults[0])
        return UserError(
            f"{self.folder}: none of {len(faults)} checkpoints can be read; {faults[0]}"
        )


def _read(prefix: str) -> tuple[OpenedWeights | None, str | None]:
    """The weights of a checkpoint, in memory, or what is wrong with it in a line."""
    try:
        return open_run(prefix, at_once=True), None
    except UserError as error:
        return None, str(error)
    except tf.errors.OpError as error:  # deleted between two looks
        return None, f"{prefix}: {error.message.splitlines()[0]}"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
