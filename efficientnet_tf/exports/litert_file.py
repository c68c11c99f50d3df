"""A LiteRT file as an object: its operators, its types at both ends, its metadata."""

import zipfile
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from efficientnet_tf.exports.litert_metadata import LABELS_FILE, METADATA, metadata
from efficientnet_tf.exports.network import ExportedNetwork

_IDENTIFIER = b"TFL3"
_OPERATORS = {number: name for name, number in vars(schema.BuiltinOperator).items()}


class LiteRTFile:
    """What a `.tflite` file holds; changes reach a file by `write`.

    Args:
      content: of the file. Quantizers may put weights behind the flatbuffer, which is then not
        changed by every tool: they are taken in.
    """

    def __init__(self, content: bytes):
        self._model: Any = schema.ModelT.InitFromPackedBuf(content)
        self._labels: str | None = None
        for buffer in self._model.buffers:
            if buffer.offset > 1:
                buffer.data = np.frombuffer(content, np.uint8, buffer.size, buffer.offset)
                buffer.offset = buffer.size = 0

    @classmethod
    def read(cls, path: str) -> "LiteRTFile":
        return cls(Path(path).read_bytes())

    def operators(self) -> dict[str, int]:
        """How often each operator occurs, `{"CONV_2D": 33, ...}`."""
        counts: dict[str, int] = {}
        for graph in self._model.subgraphs:
            for operator in graph.operators:
                name = self._name(operator)
                counts[name] = counts.get(name, 0) + 1
        return counts

    def foreign_operators(self) -> list[str]:
        """Those that a plain LiteRT does not have."""
        codes = self._model.operatorCodes
        return sorted({code.customCode.decode() for code in codes if code.customCode})

    def _name(self, operator: Any) -> str:
        code = self._model.operatorCodes[operator.opcodeIndex]
        if code.customCode:
            return code.customCode.decode()
        return _OPERATORS[max(code.builtinCode, code.deprecatedBuiltinCode)]

    def describe(self, network: ExportedNetwork) -> None:
        """Puts labels, size and range of the input into the file, as Android's tools read them."""
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(metadata(network), np.uint8)
        entry = schema.MetadataT()
        entry.name, entry.buffer = METADATA, len(self._model.buffers)
        self._model.buffers.append(buffer)
        self._model.metadata = [*(self._model.metadata or []), entry]
        self._labels = "".join(f"{name}\n" for name in network.label_names)

    def write(self, path: str) -> None:
        """Writes the file; its labels lie behind it as a ZIP archive."""
        builder = flatbuffers.Builder()
        builder.Finish(self._model.Pack(builder), _IDENTIFIER)
        Path(path).write_bytes(builder.Output())
        if self._labels:
            with zipfile.ZipFile(path, "a") as archive:
                archive.writestr(zipfile.ZipInfo(LABELS_FILE), self._labels)
