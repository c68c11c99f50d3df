"""What a model of Keras 2 has besides a network of `keras.applications`."""

import re
from collections.abc import Iterator, Mapping

MODELS = {"Functional", "Model", "Sequential"}
_OF_THE_NETWORK = re.compile(r"(stem|top|block\d+[a-z]+)_\w+|avg_pool|predictions")
_LAST = {"predictions", "top_activation"}
_PIXEL_SCALES = (1 / 255, 1 / 128)  # V1 and V2; B0-B7 with ImageNet's weights have a list as well


def own_layers(config: Mapping[str, object]) -> list[str]:
    """The names of the layers that are a user's own; empty for a network and nothing else.

    A network whose preprocessing is not inside, or that ends in a pooling, counts as its last layer
    being the user's: our network in its place would compute something else.
    """
    layers = list(flat_layers(config))
    own = [layer["name"] for layer in layers if not _is_of_the_network(layer)]
    scales = [
        layer["config"].get("scale")
        for layer in layers
        if layer["class_name"] == "Rescaling" and isinstance(layer["config"].get("scale"), float)
    ]
    is_whole = len(scales) == 1 and any(abs(scales[0] - scale) < 1e-6 for scale in _PIXEL_SCALES)
    if not own and layers and not (is_whole and layers[-1]["name"] in _LAST):
        own = [layers[-1]["name"]]
    return own


def flat_layers(config: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    """Every layer of a model and of the models inside it, in the file's order, with its `name`."""
    for layer in layer_configs(config):
        if layer["class_name"] in MODELS:
            yield from flat_layers(layer)
        else:
            yield {**layer, "name": layer.get("name") or layer["config"]["name"]}


def layer_configs(model: Mapping[str, object]) -> list[Mapping[str, object]]:
    """Of a functional model or a sequence; the oldest versions wrote a sequence as a bare list."""
    config = model["config"]
    return config if isinstance(config, list) else config["layers"]


def _is_of_the_network(layer: Mapping[str, object]) -> bool:
    if layer["class_name"] in ("InputLayer", "Rescaling", "Normalization"):
        return True
    is_known = layer["class_name"] not in ("FixedDropout", "Lambda")
    return is_known and bool(_OF_THE_NETWORK.fullmatch(layer["name"]))
