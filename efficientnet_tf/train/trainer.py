"""Training from wherever the run stands to its last step, saved and logged on the way."""

import math
import signal
import time
from collections.abc import Callable, Iterator

from efficientnet_tf.config import TrainConfig, UserError
from efficientnet_tf.train.agreement import agree, require_equal
from efficientnet_tf.train.checkpoint import RunCheckpoints
from efficientnet_tf.train.ema import ema_decay
from efficientnet_tf.train.loop import DeviceLoop
from efficientnet_tf.train.progress import Progress
from efficientnet_tf.train.summaries import Summaries

_MIN_STEPS_BETWEEN_SAVES = 100
# A device call cannot be interrupted, so it must be shorter than the notice (30 s) that a
# preemptible machine gets before it is taken away.
_MAX_CALL_SECONDS = 20.0
_FIRST_STEPS = 16


class Interrupted(UserError):
    """The run was asked to stop; its state is saved."""


class Trainer:
    """Drives a `DeviceLoop`.

    Args:
      loop: where the steps run.
      config: the run's lengths and cadences.
      checkpoints: None in a process that is not the chief.
      summaries: where curves go.
      steps_per_epoch: for the epoch shown.
      schedule: the optimizer's learning rate by step.
    """

    def __init__(
        self,
        loop: DeviceLoop,
        config: TrainConfig,
        checkpoints: RunCheckpoints | None,
        summaries: Summaries,
        steps_per_epoch: float,
        schedule: Callable[[int], object],
    ):
        self.loop, self.config = loop, config
        self.checkpoints, self.summaries = checkpoints, summaries
        self.steps_per_epoch, self.schedule = steps_per_epoch, schedule
        self.optimizer = loop.train_step.optimizer
        self._saved = self.step
        self._stop_signal = None
        self._affordable = _FIRST_STEPS

    @property
    def step(self) -> int:
        """Optimizer steps done."""
        return int(self.optimizer.iterations.numpy())

    def segments(self) -> Iterator[int]:
        """Trains, pausing with the step's number whenever an evaluation is due.

        The state is saved before each pause. SIGINT and SIGTERM end the run after the device call
        in progress, saved too.

        Raises:
          Interrupted: on such a signal.
          UserError: the loss is no longer finite, and what was saved stays as it is; or the
            workers were started with different flags.
        """
        total, every = self.config.train_steps, self.config.steps_per_eval
        shared = ("train_steps", "steps_per_eval", "iterations_per_loop")
        require_equal(self.loop.strategy, {name: getattr(self.config, name) for name in shared})
        with _signals(self):
            while self.step < total:
                pause = min(total, (self.step // every + 1) * every)
                batch = self.loop.train_step.global_batch_size
                progress = Progress("train", total, "step", self.step, batch)
                self._train_until(pause, progress)
                progress.close()
                self.summaries.flush()
                yield pause

    def _train_until(self, pause, progress):
        while (step := self.step) < pause:
            steps = min(self.config.iterations_per_loop, pause - step, self._affordable)
            began = time.perf_counter()
            rows = self.loop.run(steps)
            seconds = time.perf_counter() - began
            # The first call also compiles, so its pace asks for too few steps, never too many.
            affordable = max(_FIRST_STEPS, int(_MAX_CALL_SECONDS * steps / seconds))
            stop_asked = self._stop_signal is not None
            self._affordable, stop = agree(self.loop.strategy, affordable, stop_asked)
            self._check_finite(rows, step)
            self._log(rows, step, steps * self.loop.train_step.global_batch_size / seconds)
            self._show(progress, rows[-1])
            due = max(_MIN_STEPS_BETWEEN_SAVES, self.config.iterations_per_loop)
            if stop or self.step == pause or self.step - self._saved >= due:
                self._save()
            if stop:
                progress.close()
                raise Interrupted(f"stopped at step {self.step}, saved; run again to continue")

    def _save(self):
        if self.checkpoints:
            self.checkpoints.save(self.step)
        self._saved = self.step

    def _check_finite(self, rows, step):
        for row in rows:
            if not math.isfinite(row["loss"]):
                raise UserError(
                    f"the loss is {row['loss']} within steps {step}..{step + row['steps']}; lower "
                    f"--base_learning_rate. The checkpoint of step {self._saved} is untouched"
                )
            step += row["steps"]

    def _log(self, rows, step, images_per_second):
        for row in rows:
            step += row["steps"]
            values = {
                "accuracy/top_1": row["top_1"],
                "accuracy/top_5": row["top_5"],
                "loss/loss": row["loss"],
                "loss/cross_entropy": row["cross_entropy"],
                "loss/regularization": row["regularization"],
                "optimizer/gradient_norm": row["gradient_norm"],
                "optimizer/learning_rate": self._learning_rate(step - 1),
                "run/epoch": step / self.steps_per_epoch,
                "run/images_per_second": images_per_second,
            }
            if ema := self.loop.train_step.ema:
                values["optimizer/ema_decay"] = float(ema_decay(ema.decay, step))
            self.summaries.scalars("train", step, values)

    def _learning_rate(self, step):
        """The rate that the update from `step` to `step + 1` used."""
        return float(self.schedule(step))

    def _show(self, progress, row):
        progress.update(
            self.step,
            epoch=self.step / self.steps_per_epoch,
            loss=row["loss"],
            rate=self._learning_rate(self.step - 1),
            top_1=row["top_1"],
        )


class _signals:
    """Inside the block SIGINT and SIGTERM ask the trainer to stop; a second one kills."""

    def __init__(self, trainer: Trainer):
        self.trainer = trainer
        self._previous = {}

    def __enter__(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self._previous[number] = signal.signal(number, self._ask)
            except ValueError:  # not the main thread: leave the caller's handlers alone
                return

    def _ask(self, number, _):
        self.trainer._stop_signal = number
        signal.signal(number, signal.SIG_DFL)

    def __exit__(self, *_):
        for number, handler in self._previous.items():
            signal.signal(number, handler)
