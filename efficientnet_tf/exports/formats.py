"""The formats of exports: a row each. Standard library only, so that a flag can be checked."""

import importlib.util
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from efficientnet_tf.config import UserError, unknown_name

REPORT_FILE = "export_report.json"

_LITERT = {"ai_edge_litert": "ai-edge-litert"}
_QUANTIZER = {**_LITERT, "ai_edge_quantizer": "ai-edge-quantizer"}
_ONNX = {"tf2onnx": "tf2onnx", "onnx": "onnx", "onnxruntime": "onnxruntime"}


@dataclass(frozen=True)
class Format:
    """One format of an export.

    Attributes:
      name: as in `--export_formats`.
      file: its file or folder inside the export.
      runtime: what runs it, a name of `runtimes.RUNTIMES`.
      packages: modules that must be installed -> what they are called in a package index.
      is_quantized: computes in whole numbers, and so needs pictures to calibrate with.
    """

    name: str
    file: str
    runtime: str
    packages: Mapping[str, str]
    is_quantized: bool = False

    @property
    def min_agreement(self) -> float:
        """The share of pictures, 0..1, that must get the class that the Keras model gives them."""
        return 0.95 if self.is_quantized else 0.99


FORMATS = {
    row.name: row
    for row in (
        Format("saved_model", "saved_model", "tensorflow", {}),
        Format("litert", "model.tflite", "litert", _LITERT),
        Format("litert_fp16", "model_fp16.tflite", "litert", _LITERT),
        Format("litert_int8", "model_int8.tflite", "litert", _QUANTIZER, True),
        Format("litert_int16x8", "model_int16x8.tflite", "litert", _QUANTIZER, True),
        Format("litert_mixed", "model_mixed.tflite", "litert", _QUANTIZER, True),
        Format("onnx", "model.onnx", "onnxruntime", _ONNX),
        Format("openvino", "openvino/model.xml", "openvino", {"openvino": "openvino"}),
    )
}


# A network that was trained with int8's rounding: as it was evaluated, and as it is meant to run.
OF_LEARNED_RANGES = ("saved_model", "litert_int8")


def check_learned_ranges(names: Iterable[str]) -> None:
    """Refuses formats of a network that was trained with `quantize_aware`.

    Raises:
      UserError: a format that would not round as the network was trained to.
    """
    if others := [name for name in names if name not in OF_LEARNED_RANGES]:
        raise UserError(
            f"--export_formats={','.join(others)}: a network of --quantize_aware is exported as "
            f"{' or '.join(OF_LEARNED_RANGES)}; for others export the one that it was trained from"
        )


def installed_formats(names: Iterable[str]) -> list[Format]:
    """The rows of some names, each once.

    Raises:
      UserError: an unknown name, none at all, or a format whose packages are not installed.
    """
    formats = []
    for name in dict.fromkeys(names):
        if name not in FORMATS:
            raise unknown_name("export format", name, FORMATS)
        formats.append(FORMATS[name])
        modules = FORMATS[name].packages
        missing = [modules[m] for m in modules if importlib.util.find_spec(m) is None]
        if missing:
            raise UserError(
                f"--export_formats={name} needs {' and '.join(missing)}: "
                "pip install 'efficientnet-tf[export]'"
            )
    if not formats:
        raise UserError(f"--export_formats: name some of {','.join(FORMATS)}")
    return formats


def check_target(directory: str) -> None:
    """Refuses a folder that something would be lost in.

    Raises:
      UserError: it is not empty, no folder, or in a bucket.
    """
    path = Path(directory)
    if "://" in directory:
        raise UserError(f"--export_dir={directory}: converters write local files; copy them then")
    if not path.exists():
        return
    if not path.is_dir():
        raise UserError(f"--export_dir={directory} is a file; name a new folder")
    if (path / REPORT_FILE).exists():
        raise UserError(f"--export_dir={directory} holds another export; name a new folder, or "
                        "delete that one")  # fmt: skip
    if any(path.iterdir()):
        raise UserError(f"--export_dir={directory} is not empty; name a new folder")
