"""The settings of a layer of Keras 2 in the words of Keras 3.

1. Initializers are left out: the weights are there.
2. `hard_sigmoid` is another function in Keras 3 and refused.
3. A regularizer or constraint that is not Keras' own is left out with a line.
"""

import inspect
import logging
from collections.abc import Mapping

import keras

from efficientnet_tf.config import UserError

_log = logging.getLogger(__name__)

_ACTIVATIONS = {
    *("elu", "exponential", "gelu", "leaky_relu", "linear", "mish", "relu", "relu6", "selu"),
    *("sigmoid", "silu", "softmax", "softplus", "softsign", "swish", "tanh"),
}
_KERAS_3_NAME = {
    "LeakyReLU": {"alpha": "negative_slope"},
    "DropConnect": {"drop_connect_rate": "rate"},
    "ThresholdedReLU": {"theta": "threshold"},
}
# What Keras 3 finds out, or chooses, by itself.
_DROPPED = {
    *("batch_input_shape", "implementation", "input_dtype"),
    *("query_shape", "key_shape", "value_shape"),
}
_NEUTRAL = {"groups": 1, "renorm_momentum": 0.99}
_EVERY_LAYER = {"name", "trainable", "dtype", "activity_regularizer"}
_WIDTHS = {"units", "filters", "depth_multiplier", "num_heads", "key_dim", "value_dim"}
_PARTS = {"_regularizer": keras.regularizers, "_constraint": keras.constraints}


def translated(
    layer: Mapping[str, object], kind: type[keras.Layer], largest_side: int
) -> dict[str, object]:
    """The arguments that build the layer in Keras 3.

    Args:
      layer: `{"class_name": ..., "config": ...}` of Keras 2.
      kind: the class of Keras 3 that takes its place.
      largest_side: of any array of the file; a wider layer would only fill the memory.

    Raises:
      UserError: a setting that Keras 3 does not have, or that computes something else there.
    """
    config, where = layer["config"], f"layer {layer['config']['name']!r} ({layer['class_name']})"
    renamed = _KERAS_3_NAME.get(layer["class_name"], {})
    taken = {*inspect.signature(kind.__init__).parameters, *_EVERY_LAYER} - {"self", "kwargs"}
    arguments = {}
    for key, value in config.items():
        name = renamed.get(key, key)
        if name.endswith("_initializer") or name in _DROPPED:
            continue
        if name not in taken:
            if value not in (None, False) and _NEUTRAL.get(name) != value:
                raise UserError(f"{where}: Keras 3 has no setting {key}={value!r} for it")
            continue
        if name in _WIDTHS and isinstance(value, int) and value > largest_side:
            raise UserError(f"{where}: {key}={value} is wider than every array in the file")
        arguments[name] = _value(name, value, where)
    return arguments


def _value(name: str, value: object, where: str) -> object:
    if name == "dtype":
        return value["config"]["name"] if isinstance(value, dict) else value
    if name == "axis" and isinstance(value, list) and len(value) == 1:
        return value[0]
    if name.endswith("activation"):
        return _activation(value, where)
    for suffix, module in _PARTS.items():
        if name.endswith(suffix) and value is not None:
            return _part(value, module, name, where)
    if not _is_plain(value):
        raise UserError(f"{where}: {name} is not a number, a text or a list of them")
    return value


def _is_plain(value: object) -> bool:
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def _activation(value: object, where: str) -> str | None:
    name = value.get("config") if isinstance(value, dict) else value  # a dictionary since 2.13
    if name is None or name in _ACTIVATIONS:
        return name
    if name == "hard_sigmoid":
        raise UserError(
            f"{where}: Keras 3 computes hard_sigmoid by another formula; put a layer in its place "
            "that computes clip(0.2 * x + 0.5, 0, 1), en.convert(..., layers={...})"
        )
    raise UserError(
        f"{where}: {name!r} is no activation of Keras; put a layer of your own in its place, "
        "en.convert(..., layers={...})"
    )


def _part(value: object, module, name: str, where: str) -> object:
    """A regularizer or a constraint, built from numbers alone."""
    if isinstance(value, dict):
        kind = getattr(module, str(value["class_name"]), None)
        base = getattr(module, "Regularizer", None) or module.Constraint
        if inspect.isclass(kind) and issubclass(kind, base) and kind is not base:
            return kind(**{k: v for k, v in value["config"].items() if _is_plain(v)})
    _log.warning("%s: its %s is not Keras' own and left out; outputs are the same", where, name)
    return None
