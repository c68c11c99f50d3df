"""Training from wherever the run stands to its last step, saved and logged on the way."""

import contextlib
import math
import time
from collections.abc import Iterator

from efficientnet_tf.config import TrainConfig, UserError
from efficientnet_tf.train.agreement import agree, chief_value, require_equal
from efficientnet_tf.train.checkpoint import CheckpointSaver
from efficientnet_tf.train.curves import TrainingCurves
from efficientnet_tf.train.finite import first_not_finite
from efficientnet_tf.train.loop import DeviceLoop
from efficientnet_tf.train.progress import Progress
from efficientnet_tf.train.step_profiler import StepProfiler
from efficientnet_tf.train.stop_signals import StopSignals

_MIN_STEPS_BETWEEN_SAVES = 100
# A device call cannot be interrupted, so it must be shorter than the notice (30 s) that a
# preemptible machine gets before it is taken away.
_MAX_CALL_SECONDS = 20.0
_FIRST_STEPS = 16
# Parts of the time spent in waiting for images that are shown, and that are told in words.
_SHOWN_WAIT, _TOLD_WAIT = 0.2, 0.3


class Interrupted(UserError):
    """The run was asked to stop; its state is saved. A scheduler tells it by its status."""

    exit_status = 42


class Diverged(UserError):
    """Loss, gradients or state of a run are no longer numbers.

    Args:
      what: is not finite, a clause.
      step: the first where it showed, counted from 1.
      rate: its learning rate.
      saved: the step of the newest checkpoint, which is from before; 0 where there is none.
    """

    def __init__(self, what: str, step: int, rate: float, saved: int):
        self.step, self.saved = step, saved
        untouched = f"; the checkpoint of step {saved} is untouched" if saved else ""
        super().__init__(
            f"{what} in step {step}, at a rate of {rate:.3g}; lower --base_learning_rate{untouched}"
        )


class Trainer:
    """Drives a `DeviceLoop`.

    Args:
      loop: where the steps run.
      config: the run's lengths and cadences.
      saver: None in a process that is not the chief.
      curves: where the measures go.
      verbose: whether to show progress.
      profiler: of the steps to record; only the chief's counts.
    """

    def __init__(
        self,
        loop: DeviceLoop,
        config: TrainConfig,
        saver: CheckpointSaver | None,
        curves: TrainingCurves,
        verbose: bool = True,
        profiler: StepProfiler | None = None,
    ):
        self.loop, self.config = loop, config
        self.saver, self.curves, self.verbose = saver, curves, verbose
        self.profiler = profiler or StepProfiler()
        self._batch_size = loop.train_step.global_batch_size
        self._saved = self.step
        self._signals = StopSignals()
        # How many steps the next call may have, by the chief's `_MAX_CALL_SECONDS` and profiler.
        self._affordable = _FIRST_STEPS
        self._calls, self._wait_told = 0, not verbose

    @property
    def step(self) -> int:
        """Optimizer steps done."""
        return int(self.loop.train_step.optimizer.iterations.numpy())

    def go_on_from(self, step: int, loop: DeviceLoop) -> None:
        """After `Diverged`: with the state of the checkpoint of `step`, and a new loop."""
        self.loop, self._saved = loop, step

    def segments(self) -> Iterator[int]:
        """Trains, pausing with the step's number whenever an evaluation is due.

        The state is saved before each pause. SIGINT and SIGTERM end the run after the device call
        in progress, saved too.

        Raises:
          Interrupted: on such a signal.
          Diverged: loss or state are no longer finite; what was saved stays as it is.
          UserError: the workers were started with different flags.
        """
        total, every = self.config.train_steps, self.config.steps_per_eval
        shared = ("train_steps", "steps_per_eval", "iterations_per_loop")
        require_equal(self.loop.strategy, {name: getattr(self.config, name) for name in shared})
        self._affordable = chief_value(
            self.loop.strategy, self.profiler.cut(self.step, _FIRST_STEPS)
        )
        with self._signals, contextlib.closing(self.profiler):
            while self.step < total:
                pause = min(total, (self.step // every + 1) * every)
                progress = Progress(
                    "train", total, "step", self.step, self._batch_size, self.verbose
                )
                self._train_until(pause, progress)
                progress.close()
                if pause == total:
                    self._wait_for_saves()
                self.curves.flush()
                yield pause

    def _train_until(self, pause, progress):
        save_every = max(_MIN_STEPS_BETWEEN_SAVES, self.config.iterations_per_loop)
        while (step := self.step) < pause:
            stop = self._run_call(min(self.config.iterations_per_loop, pause - step), progress)
            if stop or self.step == pause or self.step - self._saved >= save_every:
                self._save()
            if stop:
                progress.close()
                self._wait_for_saves()
                raise Interrupted(f"stopped at step {self.step}, saved; run again to continue")

    def _run_call(self, most_steps, progress):
        """One device call, reported; returns whether any worker was asked to stop."""
        first, steps = self.step, min(most_steps, self._affordable)
        began = time.perf_counter()
        with self.profiler.around(first, steps):
            rows = self.loop.run(steps)
        seconds = time.perf_counter() - began
        # The first call also compiles, so its pace asks for too few steps, never too many.
        affordable = max(_FIRST_STEPS, int(_MAX_CALL_SECONDS * steps / seconds))
        self._affordable, stop = agree(
            self.loop.strategy,
            self.profiler.cut(self.step, affordable),
            self._signals.received,
        )
        self._check_finite(rows, first)
        self._calls += 1
        # The first call also compiles, while batches pile up.
        wait = self.loop.input_wait if self._calls > 1 else 0.0
        self.curves.write(rows, first, steps * self._batch_size / seconds, wait)
        progress.update(
            self.step,
            epoch=self.curves.epoch(self.step),
            loss=rows[-1]["loss"],
            rate=self.curves.last_rate(self.step),
            top_1=rows[-1]["top_1"],
            **({"input_wait": wait} if wait >= _SHOWN_WAIT else {}),
        )
        self._tell_of(wait)
        return stop

    def _tell_of(self, wait):
        """Says once in a run that the device is not what sets the pace."""
        if wait >= _TOLD_WAIT and not self._wait_told:
            self._wait_told = True
            print(
                f"\nthe steps wait {wait:.0%} of the time for images: the input pipeline sets the "
                "pace, not the device; --mode=benchmark --benchmark=input measures it, and more "
                "cores, --use_cache or --tf_data_service help",
                flush=True,
            )

    def _wait_for_saves(self):
        if self.saver:
            self.saver.wait()

    def _save(self):
        """Saves the state if it is made of numbers: a step's loss is from before its update."""
        if name := first_not_finite(self._state):
            raise self._diverged(f"{name} is not finite", self.step)
        if self.saver:
            self.saver.save(self.step)
        self._saved = self.step

    @property
    def _state(self):
        step = self.loop.train_step
        variables = [*step.model.weights, *step.optimizer.variables]
        averages = step.ema.shadows if step.ema else ()
        return {**{v.path: v.value for v in variables}, **{v.name: v for v in averages}}

    def _check_finite(self, rows, step):
        for row in rows:
            count = int(row["steps"])
            # Once a step is ruined, so are those after it.
            good = round(row["finite"] * count)
            if good < count:
                what = "gradient" if math.isfinite(row["loss"]) else "loss"
                raise self._diverged(f"the {what} is not finite", step + good + 1)
            step += count

    def _diverged(self, what, step):
        return Diverged(what, step, self.curves.last_rate(step), self._saved)
