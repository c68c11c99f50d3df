"""Sets the weights of a model from named arrays: all of them, or none and an error says why.

Weights of every format are read as a dictionary from the original's variable names (without scope,
`blocks_3/conv2d/kernel`) to arrays in the original's layout.
"""

import re
from collections.abc import Iterable, Mapping

import keras
import numpy as np

from efficientnet_tf.config import UserError
from efficientnet_tf.weights.naming import checkpoint_variables

CLASSIFIER = ("head/dense/kernel", "head/dense/bias")
IMAGENET_CLASSES = 1000  # one more with a background class, which comes first
_LISTED = 10

Weights = dict[str, np.ndarray]


def listing(kind: str, names: Iterable[str]) -> str:
    """`2 missing: a, b`, cut after ten names; empty for no names."""
    names = sorted(names, key=_block_by_block)
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"{len(names)} {kind}: {', '.join(names[:_LISTED])}{more}" if names else ""


def _block_by_block(name: str) -> list[str | int]:
    """Orders `blocks_2` before `blocks_10`."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def misshapen(model: keras.Model, shapes: Mapping[str, tuple]) -> list[str]:
    """The variables whose shape in the file is not the model's."""
    variables = checkpoint_variables(model)
    return [n for n in shapes if n in variables and tuple(variables[n].shape) != shapes[n]]


def check_fit(model: keras.Model, shapes: Mapping[str, tuple], where: str) -> None:
    """Raises a `UserError` that lists all differences between a file and a model.

    The file's classifier does not count where the model has none.
    """
    variables = checkpoint_variables(model)
    held = set(shapes)
    if not held & set(CLASSIFIER) & set(variables):
        held -= set(CLASSIFIER) - set(variables)
    wrong = misshapen(model, shapes)
    if wrong and set(wrong) <= set(CLASSIFIER) and set(variables) == held:
        raise UserError(
            f"{where} has {shapes[wrong[0]][-1]} classes, {model.name} has "
            f"{variables[wrong[0]].shape[-1]}: build it with as many, or load all but the "
            "classifier with warm_start()"
        )
    missing = set(variables) - held
    if any(name.endswith("/moving_maximum") for name in missing):
        raise UserError(f"{where} has not learned the ranges of int8: train from it with "
                        "--quantize_aware and --init_checkpoint")  # fmt: skip
    faults = [
        listing("missing", missing),
        listing("not in the model", held - set(variables)),
        listing(
            "of another shape",
            [f"{n} {shapes[n]} (model {tuple(variables[n].shape)})" for n in wrong],
        ),
    ]
    if any(faults):
        faults = "; ".join(fault for fault in faults if fault)
        raise UserError(f"{where} does not fit {model.name}: {faults}")


def drop_background(weights: Weights, classes: int | None) -> Weights:
    """`weights` without the background class, for a model of 1000 classes from a file of 1001.

    Args:
      classes: width of the model's classifier; None for no classifier.
    """
    kernel, bias = (weights.get(name) for name in CLASSIFIER)
    widths = (None if kernel is None else kernel.shape[-1], classes)
    if widths != (IMAGENET_CLASSES + 1, IMAGENET_CLASSES):
        return weights
    return {**weights, **dict(zip(CLASSIFIER, (kernel[:, 1:], bias[1:]), strict=True))}


def classifier_width(model: keras.Model) -> int | None:
    """The number of classes of the model, None without the top."""
    variables = checkpoint_variables(model)
    return variables[CLASSIFIER[1]].shape[0] if CLASSIFIER[1] in variables else None


def assign(model: keras.Model, weights: Weights, where: str) -> None:
    """Sets every weight of `model`, or raises a `UserError` and sets none.

    Args:
      where: what to call the source in the error.
    """
    check_fit(model, {name: tuple(value.shape) for name, value in weights.items()}, where)
    for name, variable in checkpoint_variables(model).items():
        variable.assign(weights[name])


def collect(model: keras.Model) -> Weights:
    """The model's weights by name, what `assign` takes."""
    return {
        name: keras.ops.convert_to_numpy(variable)
        for name, variable in checkpoint_variables(model).items()
    }
