"""A copy of a run's state in the host's memory, written by a thread while training goes on."""

import threading
from collections.abc import Callable, Mapping

import tensorflow as tf


class BackgroundCopy:
    """Copies the state, which takes little time, and has the copy written, which may take long.

    There is one copy, so one write at a time.

    Args:
      state: variables by part and path, as `tf.train.Checkpoint` takes them.

    Attributes:
      checkpoint: of the copy, under the same names.
    """

    def __init__(self, state: Mapping[str, Mapping[str, tf.Variable]]):
        self._state = state
        with tf.device("/CPU:0"):
            self._copy = {
                part: {path: _like(variable) for path, variable in variables.items()}
                for part, variables in state.items()
            }
        self.checkpoint = tf.train.Checkpoint(**self._copy)
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None

    def run(self, write: Callable[[], None]) -> None:
        """Copies the state once the write before is done, and calls `write` in a thread.

        Raises:
          Exception: what the write before raised.
        """
        self.wait()
        for part, variables in self._state.items():
            for path, variable in variables.items():
                self._copy[part][path].assign(tf.convert_to_tensor(variable))
        # No daemon: the end of the program waits for it.
        self._thread = threading.Thread(target=self._call, args=(write,))
        self._thread.start()

    def wait(self) -> None:
        """Returns when nothing is being written; raises what the last write raised."""
        if self._thread:
            self._thread.join()
        self._thread, error, self._error = None, self._error, None
        if error:
            raise error

    def _call(self, write):
        try:
            write()
        except Exception as error:  # raised where the run next saves or waits
            self._error = error


def _like(variable: tf.Variable) -> tf.Variable:
    """A checkpoint holds the names of variables too."""
    name = variable.name.partition(":")[0]
    return tf.Variable(tf.zeros(variable.shape, variable.dtype), trainable=False, name=name)
