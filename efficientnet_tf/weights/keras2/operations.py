"""Operations of TensorFlow between the layers of a model, `x / 255.0` for instance, and `Lambda`s.

Keras 2 files an operation as a layer of class `TFOpLambda` that names a function of TensorFlow. A
`Lambda` is filed as the byte code of Python, which is never run, or by older versions as a name.
"""

from collections.abc import Callable, Mapping
from functools import partial

import keras
from keras import ops

from efficientnet_tf.config import UserError

_BINARY = {"y": "x2"}
_REDUCTION = {"axis": "axis", "keepdims": "keepdims"}
# Function of TensorFlow -> the same of Keras 3, and its names of the arguments after the first.
_OPERATIONS: dict[str, tuple[Callable, dict[str, str]]] = {
    "math.add": (ops.add, _BINARY),
    "__operators__.add": (ops.add, _BINARY),
    "math.subtract": (ops.subtract, _BINARY),
    "math.multiply": (ops.multiply, _BINARY),
    "math.truediv": (ops.true_divide, _BINARY),
    "math.divide": (ops.true_divide, _BINARY),
    "math.maximum": (ops.maximum, _BINARY),
    "math.minimum": (ops.minimum, _BINARY),
    "math.pow": (ops.power, _BINARY),
    "math.negative": (ops.negative, {}),
    "math.abs": (ops.absolute, {}),
    "math.square": (ops.square, {}),
    "math.sqrt": (ops.sqrt, {}),
    "math.exp": (ops.exp, {}),
    "math.log": (ops.log, {}),
    "math.sigmoid": (ops.sigmoid, {}),
    "math.tanh": (ops.tanh, {}),
    "math.reduce_mean": (ops.mean, _REDUCTION),
    "math.reduce_sum": (ops.sum, _REDUCTION),
    "math.reduce_max": (ops.max, _REDUCTION),
    "nn.relu": (ops.relu, {}),
    "nn.silu": (ops.silu, {"beta": ""}),
    "nn.softmax": (ops.softmax, {"axis": "axis"}),
    "cast": (ops.cast, {"dtype": "dtype"}),
    "concat": (ops.concatenate, {"axis": "axis"}),
    "expand_dims": (ops.expand_dims, {"axis": "axis"}),
    "reshape": (ops.reshape, {"shape": "newshape"}),
}
# The same in files of TensorFlow 2.3 and before, by the names of graphs.
_NODES = {
    "Add": ops.add,
    "AddV2": ops.add,
    "Sub": ops.subtract,
    "Mul": ops.multiply,
    "RealDiv": ops.true_divide,
}
# A function in a `Lambda`, by name and the packages that it may come from -> the layer for it.
_LAMBDAS: dict[str, Callable[..., keras.Layer]] = {
    **{
        name: partial(keras.layers.Activation, name)
        for name in ("relu", "sigmoid", "silu", "softmax", "swish", "tanh")
    },
    "l2_normalize": keras.layers.UnitNormalization,
}
_PACKAGES = ("keras", "tensorflow")
_NOTHING = ("preprocess_input", "applications.efficientnet")  # returns its argument


def operation(name: str, function: object) -> Callable:
    """What does what the layer `name` does, and takes the arguments of a call of it."""
    if function not in _OPERATIONS:
        raise UserError(
            f"layer {name!r}: tf.{function} is not known here. Say which layer of Keras does "
            f"the same, {replacement(name, '...')}"
        )
    apply, renamed = _OPERATIONS[function]

    def call(tensors, **arguments):
        said = {key: value for key, value in arguments.items() if key != "name"}
        unknown = [key for key, value in said.items() if key not in renamed and value is not None]
        if unknown or said.get("beta", 1.0) != 1.0:
            raise UserError(f"layer {name!r}: tf.{function} with {', '.join(said)} is not known")
        return apply(tensors, **{renamed[key]: v for key, v in said.items() if renamed.get(key)})

    return call


def node(name: str, config: Mapping[str, object]) -> Callable:
    """`operation` for a `TensorFlowOpLayer`: of two tensors, or of one and a number."""
    kind, constants = config["node_def"]["op"], config.get("constants") or {}
    if kind not in _NODES or len(constants) > 1 or not {"0", "1"}.issuperset(constants):
        raise UserError(
            f"layer {name!r}: the operation {kind} is not known here. Say which layer of Keras "
            f"does the same, {replacement(name, '...')}"
        )
    apply = _NODES[kind]

    def call(tensors):
        if not constants:
            return apply(*tensors)
        ((place, number),) = constants.items()
        return apply(tensors, number) if place == "1" else apply(number, tensors)

    return call


def known_lambda(config: Mapping[str, object]) -> keras.Layer:
    """The layer that computes what the `Lambda` does.

    Raises:
      UserError: byte code, or a function that is not known by its name; with what to do.
    """
    name, function, module = config["name"], config.get("function"), str(config.get("module"))
    said = config.get("arguments") or {}
    if isinstance(function, str):
        if function == _NOTHING[0] and module.endswith(_NOTHING[1]):
            return keras.layers.Activation("linear", name=name)
        if function in _LAMBDAS and module.split(".")[0] in _PACKAGES:
            if function == "l2_normalize" and isinstance(said.get("axis"), int):
                return _LAMBDAS[function](axis=said["axis"], name=name)
            if function != "l2_normalize" and not said:
                return _LAMBDAS[function](name=name)
    raise UserError(
        f"layer {name!r} is a Lambda: Python code in the file, which is not run. Say which layer "
        f"of Keras does the same, {replacement(name, 'keras.layers.Rescaling(1 / 255)')} for a "
        "division by 255, UnitNormalization() for l2_normalize, GlobalAveragePooling2D("
        "keepdims=True) for a mean over pixels, Activation('swish'), ..."
    )


def replacement(name: str, layer: str) -> str:
    """What a user writes to put another layer in the place of `name`."""
    return f"en.convert(None, source, target, layers={{{name!r}: {layer}}})"
