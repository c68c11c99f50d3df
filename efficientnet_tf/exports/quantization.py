"""LiteRT files that compute in whole numbers, made from a float one in a process of its own.

Weights are int8, symmetric, with a scale for each channel; activations int8 or int16 with a scale
for each tensor, from the lowest to the highest value over the pictures of the calibration.
"""

import contextlib
import re
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import _pywrap_modify_model_interface as interface
from ai_edge_litert.interpreter import Interpreter
from ai_edge_quantizer import calibrator, model_validator, qtyping, quantizer
from ai_edge_quantizer.algorithm_manager import AlgorithmName
from ai_edge_quantizer.recipe_manager import RecipeManager
from ai_edge_quantizer.utils import qsv_utils
from ai_edge_quantizer.utils.validation_utils import ValidationErrorMetric

from efficientnet_tf.config import UserError
from efficientnet_tf.exports.litert_file import LiteRTFile
from efficientnet_tf.exports.measurement import threads

_SIGNATURE = "serving_default"
_UINT8 = 3  # of the schema's TensorType
_COMPARED = 8  # pictures whose tensors are compared
_Operation = qtyping.TFLOperationName


def quantize(
    source: str,
    target: str,
    pictures: str,
    bits: int,
    int16_layers: Sequence[str],
    float_layers: Sequence[str],
    update: Callable[[int], None],
) -> dict[str, Any]:
    """Writes a file of whole numbers.

    Args:
      source: the float file.
      target: the file to write. With `bits` 8 and no other layers its ends are uint8, pixels as
        they are and probabilities in steps of 1/256; else they are float32 as those of `source`.
      pictures: an `.npy` file of float32 [N, S, S, 3] in 0..255 to calibrate with.
      bits: of the activations, 8 or 16.
      int16_layers, float_layers: regular expressions; activations of layers whose name has one
        in it are int16, or the layers stay in floating point.
      update: told how many pictures are done.

    Returns:
      `{"layers": [[name, deviation], ...]}` in the order of the network: the root of the mean
      square of the difference to the float file over that of the float file's own values.
    """
    content = Path(source).read_bytes()
    _check_patterns(content, [*int16_layers, *float_layers])
    recipe = _recipe(bits, int16_layers, float_layers)
    images = np.load(pictures, mmap_mode="r")
    ranges = _calibrate(content, recipe, images, update)
    with _quiet():
        result = quantizer.Quantizer(content, recipe.get_quantization_recipe()).quantize(
            ranges, enable_progress_report=False
        )
    LiteRTFile(bytes(result.quantized_model)).write(target)
    layers = _deviations(content, Path(target).read_bytes(), images)
    if bits == 8 and not (int16_layers or float_layers):
        _take_bytes(target)
    return {"layers": layers}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps away warnings of tensors that are kept on purpose and of channels that are zero."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _recipe(bits: int, int16_layers: Sequence[str], float_layers: Sequence[str]) -> RecipeManager:
    recipe = RecipeManager()
    _static(recipe, ".*", bits)
    for end in (_Operation.INPUT, _Operation.OUTPUT):
        recipe.add_quantization_config(".*", end, algorithm_key=AlgorithmName.NO_QUANTIZE)
    for pattern in int16_layers:
        _static(recipe, pattern, 16)
    for pattern in float_layers:
        recipe.add_quantization_config(
            pattern, _Operation.ALL_SUPPORTED, algorithm_key=AlgorithmName.NO_QUANTIZE
        )
    return recipe


def _static(recipe: RecipeManager, pattern: str, bits: int) -> None:
    recipe.add_static_config(
        pattern, _Operation.ALL_SUPPORTED, activation_num_bits=bits, weight_num_bits=8
    )


def _check_patterns(content: bytes, patterns: Sequence[str]) -> None:
    names = [details["name"] for details in Interpreter(model_content=content).get_tensor_details()]
    for pattern in patterns:
        if not any(re.search(pattern, name) for name in names):
            raise UserError(f"no layer's name has {pattern!r} in it; names are such as "
                            f"{names[len(names) // 2]}")  # fmt: skip


def _calibrate(
    content: bytes, recipe: RecipeManager, images: np.ndarray, update: Callable[[int], None]
) -> dict[str, Any]:
    """The range of every tensor over the pictures; the input's is that of all pictures."""
    (source,) = Interpreter(model_content=content).get_input_details()
    (argument,) = Interpreter(model_content=content).get_signature_list()[_SIGNATURE]["inputs"]
    with _quiet():
        calibration = calibrator.Calibrator(
            content, threads(), qsv_update_func=qsv_utils.min_max_update
        )
    for number in range(len(images)):
        example = {argument: np.array(images[number : number + 1])}
        calibration.calibrate({_SIGNATURE: [example]}, recipe)
        update(number + 1)
    ranges = calibration.get_model_qsvs()
    known = ranges.get(source["name"], {})
    limits = {"min": 0.0, "max": 255.0}
    ranges[source["name"]] = {end: np.full_like(known[end], limits[end]) for end in known}
    return ranges


def _deviations(reference: bytes, quantized: bytes, images: np.ndarray) -> list[list[Any]]:
    """`[name, deviation]` of each layer, in the order of the network."""

    def relative(found: np.ndarray, expected: np.ndarray) -> float:
        expected = expected.astype(np.float64)
        power = np.mean(np.square(expected))
        return float(np.sqrt(np.mean(np.square(found - expected)) / power)) if power else 0.0

    (argument,) = Interpreter(model_content=reference).get_signature_list()[_SIGNATURE]["inputs"]
    count = min(_COMPARED, len(images))
    examples = [{argument: np.array(images[i : i + 1])} for i in range(count)]
    with _quiet():
        compared = model_validator.compare_model(
            reference,
            quantized,
            {_SIGNATURE: examples},
            [ValidationErrorMetric.MSE],  # only a name here: `relative` is what is computed
            [relative],
        )
    result = compared.get_signature_comparison_result(_SIGNATURE).intermediate_tensors
    values = {name: entry[ValidationErrorMetric.MSE.value] for name, entry in result.items()}
    order = [d["name"] for d in Interpreter(model_content=reference).get_tensor_details()]
    return [[name, round(values[name], 6)] for name in order if name in values]


def _take_bytes(path: str) -> None:
    """Makes both ends of a file uint8."""
    with tempfile.TemporaryDirectory() as folder:
        changed = f"{folder}/bytes.tflite"
        if interface.modify_model_interface(path, changed, _UINT8, _UINT8):
            raise UserError("its ends cannot be made uint8")
        shutil.move(changed, path)
