"""What TensorBoard shows of a run.

Training and evaluation use the same tags, so TensorBoard draws both curves in one chart; the part
of a tag before the slash groups the charts.
"""

import contextlib
import sys
from collections.abc import Callable, Mapping

import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams_api

from efficientnet_tf.train.writing import WRITE_ERRORS, write_reason


class Summaries:
    """Writes scalars, text and images under `<model_dir>/train` and `<model_dir>/eval...`.

    A run is worth more than its curves: where they cannot be written, a line says so and it goes on
    without them.

    Args:
      model_dir: the run's folder.
      enabled: False writes nothing, for `--skip_host_call` and workers that are not the chief.
    """

    def __init__(self, model_dir: str, enabled: bool = True):
        self.model_dir, self.enabled = model_dir, enabled
        self._writers: dict[str, tf.summary.SummaryWriter] = {}

    def _write(self, part: str, step: int, write: Callable[[], object]) -> None:
        """Calls `write`, for which `tf.summary` writes into the folder `part`."""
        if not self.enabled:
            return
        writer = scope = None
        try:
            if part not in self._writers:
                self._writers[part] = tf.summary.create_file_writer(f"{self.model_dir}/{part}")
            writer = self._writers[part]
            scope = writer.as_default(step)
            with scope:
                write()
        except WRITE_ERRORS as error:
            self._give_up(error, writer)
            if scope:
                # Leaving failed as it flushed, and left the writer TensorFlow's default one. A
                # closed one is not flushed.
                scope.__exit__(None, None, None)

    def _give_up(self, error: Exception, writer: tf.summary.SummaryWriter | None = None) -> None:
        self.enabled = False
        self._writers.clear()
        if writer:
            with contextlib.suppress(*WRITE_ERRORS):
                writer.close()
        print(
            f"warning: no more TensorBoard summaries in {self.model_dir}: {write_reason(error)}; "
            "the run goes on without them",
            file=sys.stderr,
        )

    def scalars(self, part: str, step: int, values: Mapping[str, float]) -> None:
        """One point of each curve; `part` is the folder, `train` or `eval`."""
        self._write(part, step, lambda: [tf.summary.scalar(*value) for value in values.items()])

    def text(self, name: str, markdown: str) -> None:
        """A text panel of the training run."""
        self._write("train", 0, lambda: tf.summary.text(name, markdown))

    def image(self, name: str, image, step: int, part: str = "train") -> None:
        """One picture, uint8 [H, W, 3]."""
        self._write(part, step, lambda: tf.summary.image(name, image[None]))

    def graph(self, graph: tf.Graph) -> None:
        """The network, for the GRAPHS tab."""
        self._write("train", 0, lambda: tf.summary.graph(graph))

    def hparams(self, values: Mapping[str, bool | int | float | str]) -> None:
        """The run's row in the HPARAMS tab; its results are the curves of the same folder."""
        # A row is known by its id: without one, runs with the same values share a row.
        self._write("eval", 0, lambda: hparams_api.hparams(dict(values), trial_id=self.model_dir))

    def flush(self) -> None:
        """Makes what was written visible to a reader."""
        try:
            for writer in self._writers.values():
                writer.flush()
        except WRITE_ERRORS as error:
            self._give_up(error)
