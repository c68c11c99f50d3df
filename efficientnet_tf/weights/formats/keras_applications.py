"""Reads weights of `keras.applications`' EfficientNets, V1 and V2, in every format of Keras.

1. Its padding of strided convolutions (`correct_pad`) is TensorFlow's 'same' for every even size
   and for an odd one that is known when the network is built. Built for any size (`None`) it pads
   as if the size were even, so there an odd size gives other features than ours.
2. Its published ImageNet networks hold the standard deviation where `Normalization` wants the
   variance, and divide by its root once more: together that is our `(x - mean) / stddev`. Only the
   published mean tells such a file from one that was adapted to a user's data.
3. Batch norm has our epsilon and momentum, the stochastic depth another ramp (training only).
"""

import re
from collections.abc import Mapping

import numpy as np

from efficientnet_tf.config import UserError
from efficientnet_tf.weights.assignment import Weights
from efficientnet_tf.weights.naming import Roles

_MEAN, _STDDEV = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])

_ENDS = {
    "stem_conv": "stem",
    "stem_bn": "stem_norm",
    "top_conv": "head",
    "top_bn": "head_norm",
    "predictions": "classifier",
}
_IN_BLOCK = {
    "expand_conv": "expand",
    "expand_bn": "expand_norm",
    "dwconv": "depthwise",
    "dwconv2": "depthwise",  # V2
    "bn": "depthwise_norm",
    "se_reduce": "se_reduce",
    "se_expand": "se_expand",
    "project_conv": "project",
    "project_bn": "project_norm",
}
_BLOCK_LAYER = re.compile(r"block(\d+)([a-z]+)_(\w+)")


def is_named(values: Mapping[str, np.ndarray]) -> bool:
    """Whether `values` carry the names of `keras.applications`' layers."""
    return any(_layer_and_leaf(path)[0] == "stem_conv" for path in values)


def _layer_and_leaf(path: str) -> tuple[str, str]:
    """`block1a_bn/block1a_bn/gamma:0` -> `("block1a_bn", "gamma")`.

    What comes before, such as the name of a user's model around the network, does not matter.
    """
    _, layer, leaf = f"//{path}".rsplit("/", 2)
    return layer, leaf.removesuffix(":0")


def by_layer_name(values: Mapping[str, np.ndarray], roles: Roles) -> Weights:
    """The weights of a file or model that names layers: `.h5`, `.keras`, variable paths.

    Args:
      values: arrays by path, `block1a_bn/gamma` below anything.
      roles: of the network they are for, `naming.layer_roles`.
    """
    matches = [_BLOCK_LAYER.fullmatch(_layer_and_leaf(path)[0]) for path in values]
    places = sorted({(int(m[1]), len(m[2]), m[2]) for m in matches if m})
    blocks = {place: index for index, place in enumerate(places)}
    weights = {}
    for path, value in values.items():
        layer, leaf = _layer_and_leaf(path)
        if match := _BLOCK_LAYER.fullmatch(layer):
            block = blocks[int(match[1]), len(match[2]), match[2]]
            role = _IN_BLOCK.get(match[3], match[3])
        elif layer in _ENDS:
            block, role = None, _ENDS[layer]
        else:
            continue  # normalization, a user's own layers
        leaf = "depthwise_kernel" if role == "depthwise" else leaf
        weights[roles.variable(block, role, leaf)] = value
    return weights


# What Keras calls the layers of a class in a `.weights.h5`, and their variables in order.
_CLASSES = {
    "conv2d": (("stem", "expand", "se_reduce", "se_expand", "project", "head"), ("kernel", "bias")),
    "depthwise_conv2d": (("depthwise",), ("depthwise_kernel",)),
    "batch_normalization": (
        ("stem_norm", "expand_norm", "depthwise_norm", "project_norm", "head_norm"),
        ("gamma", "beta", "moving_mean", "moving_variance"),
    ),
    "dense": (("classifier",), ("kernel", "bias")),
}
_COUNTED = re.compile(rf"(?:.*/)?layers/({'|'.join(_CLASSES)})(?:_(\d+))?/vars/(\d+)")


def by_class_count(values: Mapping[str, np.ndarray], roles: Roles) -> Weights:
    """The weights of a `.weights.h5`, which numbers the layers of each class in call order.

    Raises:
      UserError: another number of layers than the network has.
    """
    order = {
        kind: [place for place in roles if place[1] in members]
        for kind, (members, _) in _CLASSES.items()
    }
    weights = {}
    for path, value in values.items():
        match = _COUNTED.fullmatch(path)
        if not match:
            continue
        kind, number = match[1], int(match[2] or 0)
        if number >= len(order[kind]):
            raise UserError(
                f"the file has more layers of kind {kind} than the network's {len(order[kind])}"
            )
        leaf = dict(enumerate(_CLASSES[kind][1])).get(int(match[3]), match[3])
        weights[roles.variable(*order[kind][number], leaf)] = value
    return weights


def classifier_width(values: Mapping[str, np.ndarray]) -> int | None:
    """How many classes a file of either kind has, None without a classifier."""
    for path, value in values.items():
        if _layer_and_leaf(path) == ("predictions", "bias") or path.endswith("layers/dense/vars/1"):
            return value.shape[0] if value.shape else None
    return None


def normalization(
    values: Mapping[str, np.ndarray], where: str = "the file"
) -> dict[str, tuple[float, ...]]:
    """`mean_rgb` and `stddev_rgb`, on 0..255, that the network applied to its input.

    Empty where the file does not say (V2 keeps them outside of the weights).

    Args:
      where: what to call the file in the error.

    Raises:
      UserError: a mean without a variance.
    """
    statistics = {}
    for path, value in values.items():
        layer, leaf = _layer_and_leaf(path)
        if re.fullmatch(r"normalization(_\d+)?", layer):
            statistics[leaf] = np.ravel(value)
        elif match := re.fullmatch(r"(?:.*/)?layers/normalization/vars/([012])", path):
            statistics[("mean", "variance", "count")[int(match[1])]] = np.ravel(value)
    if "mean" not in statistics or statistics["mean"].size != 3:
        return {}
    mean, variance = statistics["mean"], statistics.get("variance")
    if np.shape(variance) != (3,):
        raise UserError(f"{where}: its normalization layer is damaged")
    published = np.allclose(mean, _MEAN, atol=1e-3) and np.allclose(variance, _STDDEV, atol=1e-3)
    stddev = variance if published else np.sqrt(variance)
    return {
        "mean_rgb": tuple(float(v) * 255 for v in mean),
        "stddev_rgb": tuple(float(v) * 255 for v in stddev),
    }
