"""The runtimes of the formats: a class each, from a file to a function of images.

Each takes the path of an export and a number of threads, and gives of images, float32 [N, S, S, 3]
in 0..255, probabilities, float32 [N, C]. What it needs is imported when it is made.
"""

from collections.abc import Callable
from typing import Any

import numpy as np


class LiteRT:
    """A `.tflite` file; whole numbers at its ends are converted here."""

    def __init__(self, path: str, threads: int):
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter(path, num_threads=threads)
        self._shape: tuple[int, ...] | None = None

    def __call__(self, images: np.ndarray) -> np.ndarray:
        interpreter = self._interpreter
        (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
        if images.shape != self._shape:
            interpreter.resize_tensor_input(source["index"], images.shape, strict=True)
            interpreter.allocate_tensors()
            self._shape = images.shape
        interpreter.set_tensor(source["index"], quantized(images, source))
        interpreter.invoke()
        return real(interpreter.get_tensor(target["index"]), target)


def quantized(values: np.ndarray, details: dict[str, Any]) -> np.ndarray:
    """Real numbers as the tensor that `details` are of holds them."""
    scale, zero = details["quantization"]
    if not scale:
        return values
    limits = np.iinfo(details["dtype"])
    whole = np.round(values / scale) + zero
    return np.clip(whole, limits.min, limits.max).astype(details["dtype"])


def real(values: np.ndarray, details: dict[str, Any]) -> np.ndarray:
    """What the values of a tensor stand for."""
    scale, zero = details["quantization"]
    return (values.astype(np.float32) - zero) * np.float32(scale) if scale else values


class OnnxRuntime:
    """An ONNX file."""

    def __init__(self, path: str, threads: int):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        providers = ["CPUExecutionProvider"]
        self._session = onnxruntime.InferenceSession(path, options, providers=providers)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return self._session.run(["probabilities"], {"image": images})[0]


class OpenVINO:
    """An OpenVINO IR; computed in float32 where the processor would choose less."""

    def __init__(self, path: str, threads: int):
        import openvino

        settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
        self._model = openvino.Core().compile_model(path, "CPU", settings)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return self._model(images)["probabilities"]


class TensorFlow:
    """A SavedModel, by its signature for images."""

    def __init__(self, path: str, threads: int):
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        self._model = tf.saved_model.load(path)  # its functions do not outlive it
        self._signature: Any = self._model.signatures["images"]

    def __call__(self, images: np.ndarray) -> np.ndarray:
        import tensorflow as tf

        return self._signature(images=tf.constant(images))["probabilities"].numpy()


RUNTIMES: dict[str, Callable[[str, int], Callable[[np.ndarray], np.ndarray]]] = {
    "litert": LiteRT,
    "onnxruntime": OnnxRuntime,
    "openvino": OpenVINO,
    "tensorflow": TensorFlow,
}
