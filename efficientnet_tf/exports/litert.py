"""LiteRT files, formerly TensorFlow Lite, in floating point."""

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
    options = {"target_spec": {"supported_ops": _BUILTIN}}
    if float16:
        options["target_spec"]["supported_types"] = [tf.float16]
        options["optimizations"] = [tf.lite.Optimize.DEFAULT]
    network.model.export(path, format="litert", verbose=False, **options)
    file = LiteRTFile.read(path)
    if foreign := file.foreign_operators():
        raise UserError(f"needs operators that LiteRT does not have: {', '.join(foreign)}")
    file.describe(network)
    file.write(path)
    return file.operators()
