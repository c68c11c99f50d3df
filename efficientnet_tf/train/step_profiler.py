"""TensorFlow's profiler around some steps of a run."""

import contextlib
from collections.abc import Iterator

import tensorflow as tf


class StepProfiler:
    """Records what the host and its devices do in some steps, for TensorBoard's PROFILE tab.

    Args:
      steps: `range(10, 21)` for the 10th to the 20th, counted from 1; empty records nothing.
      folder: gets the recording, under `plugins/profile/<time>`.
    """

    def __init__(self, steps: range = range(0), folder: str = ""):
        self.steps, self.folder = steps, folder
        self._recording = False

    def cut(self, step: int, count: int) -> int:
        """At most `count` steps after `step`, so that a recording neither begins nor ends amid."""
        if self.steps:
            ends = (self.steps[0] - 1, self.steps[-1])
            count = min([count, *(end - step for end in ends if end > step)])
        return count

    @contextlib.contextmanager
    def around(self, step: int, count: int) -> Iterator[None]:
        """A call that does `count` steps after `step`; those of one recording follow each other."""
        if step + 1 in self.steps and not self._recording:
            tf.profiler.experimental.start(self.folder)
            self._recording = True
        yield
        if step + count + 1 not in self.steps:
            self.close()

    def close(self) -> None:
        """Ends the recording in progress, if there is one, and writes it."""
        if self._recording:
            self._recording = False
            tf.profiler.experimental.stop()
