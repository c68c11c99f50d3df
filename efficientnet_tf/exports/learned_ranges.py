"""How far each layer of an int8 file with learned ranges is from the network without rounding."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from efficientnet_tf.exports.runtimes import quantized, real

_COMPARED = 8  # pictures whose tensors are compared


def deviations(
    source: str, target: str, pictures: str, update: Callable[[int], None]
) -> dict[str, Any]:
    """`quantization.quantize`'s result, of a file that another converter has written.

    Its tensors have other names than the float file's, but its operators are the same in the same
    order, save for those that convert whole numbers.

    Args:
      source: the file in floating point.
      target: the file of whole numbers.
      pictures: an `.npy` file of float32 [N, S, S, 3] in 0..255.
      update: told how many pictures are done.
    """
    images = np.load(pictures, mmap_mode="r")[:_COMPARED]
    errors: dict[str, float] = {}
    powers: dict[str, float] = {}
    for number, image in enumerate(images, 1):
        pairs = zip(_layers(source, image), _layers(target, image), strict=True)
        for (name, expected), (_, found) in pairs:
            powers[name] = powers.get(name, 0.0) + float(np.square(expected).sum())
            errors[name] = errors.get(name, 0.0) + float(np.square(found - expected).sum())
        update(number)
    layers = [
        [name, round((errors[name] / power) ** 0.5, 6)] for name, power in powers.items() if power
    ]
    return {"layers": layers}


def _layers(path: str, image: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """The name and the values, float64, of what each operator gives for one image."""
    interpreter = Interpreter(path, experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    (end,) = interpreter.get_input_details()
    interpreter.set_tensor(end["index"], quantized(image[None], end))
    interpreter.invoke()
    tensors = {details["index"]: details for details in interpreter.get_tensor_details()}
    for operator in interpreter._get_ops_details():
        if operator["op_name"] in ("QUANTIZE", "DELEGATE"):
            continue
        (index,) = operator["outputs"]
        values = real(interpreter.get_tensor(index), tensors[index])
        yield tensors[index]["name"], values.astype(np.float64)
