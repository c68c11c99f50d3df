"""What TensorBoard shows of a run.

Training and evaluation use the same tags, so TensorBoard draws both curves in one chart; the part
of a tag before the slash groups the charts.
"""

from collections.abc import Mapping

import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams_api


class Summaries:
    """Writes scalars, text and images under `<model_dir>/train` and `<model_dir>/eval...`.

    Args:
      model_dir: the run's folder.
      enabled: False writes nothing, for `--skip_host_call` and workers that are not the chief.
    """

    def __init__(self, model_dir: str, enabled: bool = True):
        self.model_dir, self.enabled = model_dir, enabled
        self._writers: dict[str, tf.summary.SummaryWriter] = {}

    def _writer(self, part: str) -> tf.summary.SummaryWriter:
        if not self.enabled:
            return tf.summary.create_noop_writer()
        if part not in self._writers:
            self._writers[part] = tf.summary.create_file_writer(f"{self.model_dir}/{part}")
        return self._writers[part]

    def scalars(self, part: str, step: int, values: Mapping[str, float]) -> None:
        """One point of each curve; `part` is the folder, `train` or `eval`."""
        with self._writer(part).as_default(step):
            for name, value in values.items():
                tf.summary.scalar(name, value)

    def text(self, name: str, markdown: str) -> None:
        """A text panel of the training run."""
        with self._writer("train").as_default(0):
            tf.summary.text(name, markdown)

    def image(self, name: str, image, step: int, part: str = "train") -> None:
        """One picture, uint8 [H, W, 3]."""
        with self._writer(part).as_default(step):
            tf.summary.image(name, image[None])

    def graph(self, graph: tf.Graph) -> None:
        """The network, for the GRAPHS tab."""
        with self._writer("train").as_default(0):
            tf.summary.graph(graph)

    def hparams(self, values: Mapping[str, bool | int | float | str]) -> None:
        """The run's row in the HPARAMS tab; its results are the curves of the same folder."""
        with self._writer("eval").as_default(0):
            # A row is known by its id: without one, runs with the same values share a row.
            hparams_api.hparams(dict(values), trial_id=self.model_dir)

    def flush(self) -> None:
        """Makes what was written visible to a reader."""
        for writer in self._writers.values():
            writer.flush()
