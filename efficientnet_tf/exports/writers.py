"""From a network to the file of a format."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from efficientnet_tf.config import UserError
from efficientnet_tf.exports.formats import Format
from efficientnet_tf.exports.network import ExportedNetwork
from efficientnet_tf.exports.saved_model import write_saved_model
from efficientnet_tf.exports.worker import run_apart
from efficientnet_tf.nn.quantization import without_rounding
from efficientnet_tf.train.progress import Progress

Operators = dict[str, int] | None
Layers = list[tuple[str, float]] | None


class Writers:
    """Writes formats of one network. Converters are imported when they are needed.

    Args:
      network: what is written.
      folder: of the export.
      scratch: a folder for files in between.
      pictures: float32 [N, S, S, 3], for formats of whole numbers: to calibrate with, and to see
        how far each layer is off.
      int16_layers, float_layers: of `litert_mixed`, see `quantization.quantize`.
      verbose: show how far a calibration is.

    Attributes:
      folder: of the export.
    """

    def __init__(
        self,
        network: ExportedNetwork,
        folder: Path,
        scratch: str,
        pictures: np.ndarray,
        int16_layers: Sequence[str] = (),
        float_layers: Sequence[str] = (),
        verbose: bool = False,
    ):
        self.folder = folder
        self._network, self._scratch, self._pictures = network, Path(scratch), pictures
        self._mixed = {"int16_layers": list(int16_layers), "float_layers": list(float_layers)}
        self._verbose = verbose

    def write(self, row: Format) -> tuple[Operators, Layers]:
        """Writes one format; its operators and, of whole numbers, how far each layer is off.

        Raises:
          UserError: the format has no way to say what the network does.
        """
        path = str(self.folder / row.file)
        if row.name == "saved_model":
            write_saved_model(self._network, path)
            return None, None
        if self._network.mixes_kernels:
            raise UserError("has no convolution whose kernel is another for each picture, which "
                            "CondConv mixes; saved_model has")  # fmt: skip
        if row.runtime == "litert":
            return self._litert(row, path)
        if row.name == "onnx":
            from efficientnet_tf.exports.onnx_file import write_onnx

            return write_onnx(self._network, path), None
        from efficientnet_tf.exports.openvino_file import write_openvino

        return write_openvino(self._network, path), None

    def _litert(self, row: Format, path: str) -> tuple[Operators, Layers]:
        from efficientnet_tf.exports.litert import write_int8, write_litert
        from efficientnet_tf.exports.litert_file import LiteRTFile

        if not row.is_quantized:
            return write_litert(self._network, path, float16=row.name == "litert_fp16"), None
        if self._network.has_learned_ranges:
            return write_int8(self._network, path), self._deviations(path)
        layers = self._quantize(row, path)
        file = LiteRTFile.read(path)
        file.describe(self._network)
        file.write(path)
        return file.operators(), layers

    def _deviations(self, path: str) -> Layers:
        """How far each layer of an int8 file with learned ranges is off."""
        source, pictures = self._in_floating_point(without_rounding(self._network.model))
        result = run_apart(
            "learned_ranges.deviations", source=source, target=path, pictures=pictures
        )
        return [(name, deviation) for name, deviation in result["layers"]]

    def _quantize(self, row: Format, path: str) -> Layers:
        source, pictures = self._in_floating_point(self._network.model)
        progress = Progress(
            f"{row.name}: calibrating", len(self._pictures), "image", enabled=self._verbose
        )
        none: dict[str, Any] = {"int16_layers": [], "float_layers": []}
        result = run_apart(
            "quantization.quantize",
            progress.update,
            source=source,
            target=path,
            pictures=pictures,
            bits=16 if row.name == "litert_int16x8" else 8,
            **(self._mixed if row.name == "litert_mixed" else none),
        )
        progress.close()
        return [(name, deviation) for name, deviation in result["layers"]]

    def _in_floating_point(self, model: keras.Model) -> tuple[str, str]:
        """The paths of a float file of a model, and of the pictures."""
        from efficientnet_tf.exports.litert import write_litert

        source, pictures = self._scratch / "float.tflite", self._scratch / "whole_numbers.npy"
        if not source.exists():
            write_litert(dataclasses.replace(self._network, model=model), str(source))
            np.save(pictures, self._pictures)
        return str(source), str(pictures)
