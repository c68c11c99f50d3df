"""LiteRT files, formerly TensorFlow Lite, of TensorFlow's converter.

In floating point, and in int8 with ranges that were learned in training: its converter takes them
from FakeQuant ops, which other quantizers do not know.
"""

import warnings
from typing import Any

import tensorflow as tf

from efficientnet_tf.config import UserError
from efficientnet_tf.exports.litert_file import LiteRTFile
from efficientnet_tf.exports.network import ExportedNetwork

_BUILTIN = [tf.lite.OpsSet.TFLITE_BUILTINS]


def write_litert(network: ExportedNetwork, path: str, float16: bool = False) -> dict[str, int]:
    """Writes a file of built-in operators alone, with metadata.

    The input is `image`, float32 [N, S, S, 3], RGB in 0..255, the output float32 [N, C].

    Args:
      float16: weights in half of the size, which a CPU computes with in float32.

    Returns:
      How often each operator occurs.

    Raises:
      UserError: the network needs operators that LiteRT does not have.
    """
    options: dict[str, Any] = {"target_spec": {"supported_ops": _BUILTIN}}
    if float16:
        options["target_spec"]["supported_types"] = [tf.float16]
        options["optimizations"] = [tf.lite.Optimize.DEFAULT]
    return _write(network, path, options)


def write_int8(network: ExportedNetwork, path: str) -> dict[str, int]:
    """Writes a network of `quantize_aware` in int8; see `write_litert`.

    Its ends are uint8, pixels as they are and probabilities in steps of 1/256.
    """
    options: dict[str, Any] = {
        "target_spec": {"supported_ops": _BUILTIN},
        "optimizations": [tf.lite.Optimize.DEFAULT],
        "inference_input_type": tf.uint8,
        "inference_output_type": tf.uint8,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a calibration that is not needed
        operators = _write(network, path, options)
    if left := {"FAKE_QUANT", "DEQUANTIZE"} & operators.keys():
        raise UserError(f"is not whole numbers throughout: {', '.join(sorted(left))} is left")
    return operators


def _write(network: ExportedNetwork, path: str, options: dict[str, Any]) -> dict[str, int]:
    network.model.export(path, format="litert", verbose=False, **options)
    file = LiteRTFile.read(path)
    if foreign := file.foreign_operators():
        raise UserError(f"needs operators that LiteRT does not have: {', '.join(foreign)}")
    file.describe(network)
    file.write(path)
    return file.operators()
