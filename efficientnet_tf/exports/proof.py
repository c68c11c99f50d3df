"""A format as its own runtime runs it, beside the Keras model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from efficientnet_tf.config import UserError
from efficientnet_tf.exports.formats import Format
from efficientnet_tf.exports.network import ExportedNetwork
from efficientnet_tf.exports.report import FormatReport, agreement
from efficientnet_tf.exports.worker import run_apart
from efficientnet_tf.exports.writers import Layers, Operators
from efficientnet_tf.train.progress import Progress


@dataclass(frozen=True)
class Pictures:
    """What formats are compared on.

    Attributes:
      images: float32 [N, S, S, 3] in 0..255.
      labels: true classes, [N], or None.
      expected: the Keras model's probabilities, float32 [N, C].
    """

    images: np.ndarray
    labels: Sequence[int] | None
    expected: np.ndarray


class Proof:
    """Runs formats on the same pictures.

    Args:
      network: what they are of.
      pictures: to run them on.
      scratch: a folder for files in between.
    """

    def __init__(self, network: ExportedNetwork, pictures: Pictures, scratch: str):
        self.network, self.pictures = network, pictures
        self._images, self._outputs = Path(scratch, "pictures.npy"), Path(scratch, "outputs.npy")
        np.save(self._images, pictures.images)

    def of(
        self, row: Format, path: Path, operators: Operators, layers: Layers, verbose: bool
    ) -> FormatReport:
        """What is known of a format whose file is `path`.

        Raises:
          UserError: it does not run, or not to numbers.
        """
        where = {"runtime": row.runtime, "path": str(path), "pictures": str(self._images)}
        single = run_apart("measurement.one_picture", **where)
        progress = Progress(row.name, len(self.pictures.images), unit="image", enabled=verbose)
        batches = run_apart(
            "measurement.all_pictures", progress.update, **where, outputs=str(self._outputs)
        )
        progress.close()
        found = np.load(self._outputs)
        if not np.isfinite(found).all():
            raise UserError("returns probabilities that are no numbers")
        return FormatReport(
            row.name,
            row.file,
            round(_bytes(path) / 1e6, 3),
            operators,
            agreement(self.pictures.expected, found, self.pictures.labels),
            single["ms_one_thread"],
            batches["ms_all_threads"],
            batches["images_per_second"],
            single["peak_memory_mb"],
            layers,
        )


def _bytes(path: Path) -> int:
    """Of a file, of all files in a folder, or of OpenVINO's pair."""
    files = [path] if path.suffix in (".tflite", ".onnx") else path.rglob("*")
    if path.suffix == ".xml":
        files = path.parent.iterdir()
    return sum(file.stat().st_size for file in files if file.is_file())
