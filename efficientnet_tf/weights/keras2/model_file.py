"""A whole model in an `.h5` of Keras 2: its configuration and its arrays, nothing built yet.

The configuration is JSON in the attribute `model_config`. The arrays lie in `model_weights`, in a
group for each outermost layer, whose attribute `weight_names` has their order.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from efficientnet_tf.config import UserError
from efficientnet_tf.weights.description import parsed
from efficientnet_tf.weights.formats import hdf5
from efficientnet_tf.weights.keras2.own_layers import MODELS
from efficientnet_tf.weights.size_limit import check_growth

_CONFIG, _WEIGHTS = "model_config", "model_weights"
_MAX_CONFIG_BYTES = 64 << 20  # EfficientNet-B7's has one megabyte
_RANDOM_STATE = "StateVar"  # of a layer that augments, in some versions


@dataclass(frozen=True)
class ModelFile:
    """What an `.h5` file holds of a model.

    Attributes:
      config: `{"class_name": ..., "config": ...}` as Keras 2 wrote it; nothing in it is checked.
      arrays: name and array of every weight by outermost layer, in the order of the file.
    """

    path: Path
    config: Mapping[str, object]
    arrays: Mapping[str, list[tuple[str, np.ndarray]]]

    def largest_side(self) -> int:
        """Of any array: no layer of the model can be wider."""
        arrays = (array for group in self.arrays.values() for _, array in group)
        return max((max(array.shape, default=1) for array in arrays), default=1)

    def num_bytes(self) -> int:
        return sum(array.nbytes for group in self.arrays.values() for _, array in group)


def model_config(path: Path) -> Mapping[str, object] | None:
    """The configuration of the model, None if the file has weights alone or is of Keras 3.

    Raises:
      UserError: not HDF5; a configuration that is not JSON.
    """
    try:
        with h5py.File(path, "r") as file:
            version = _text(file.attrs.get("keras_version", "2"))
            if _CONFIG not in file.attrs or not version.startswith(("1.", "2")):
                return None
            text = _text(file.attrs[_CONFIG])
    except OSError as error:
        raise UserError(f"{path}: not a readable HDF5 file ({error})") from None
    if len(text) > _MAX_CONFIG_BYTES:
        raise UserError(f"{path}: its {_CONFIG} is larger than any model's")
    config = parsed(text, f"{path}: {_CONFIG}")
    if not _is_layer(config):
        raise UserError(f"{path}: {_CONFIG} is damaged: not the configuration of a model")
    return config


def _is_layer(value: object) -> bool:
    """Whether it is `{"class_name": ..., "config": ...}`, and so are the layers of a model."""
    if not isinstance(value, dict) or not isinstance(value.get("class_name"), str):
        return False
    config = value.get("config")
    if value["class_name"] not in MODELS:
        return isinstance(config, dict) and isinstance(config.get("name"), str)
    layers = config.get("layers") if isinstance(config, dict) else config
    return isinstance(layers, list) and all(map(_is_layer, layers))


def read_model_file(path: Path) -> ModelFile:
    """Everything but the optimizer's state.

    Raises:
      UserError: not a whole model of Keras 2; arrays that are missing or lie in other files.
    """
    config = model_config(path)
    if config is None:
        raise UserError(f"{path}: not a whole model of Keras 2 (no {_CONFIG} of that version)")
    outline, _ = hdf5.outline(path)
    check_growth(path, sum(array.nbytes for array in outline.values()))
    values = hdf5.read(path, under=_WEIGHTS)
    arrays = {}
    with h5py.File(path, "r") as file:
        for layer in file.get(_WEIGHTS, ()):
            names = [n for n in _weight_names(file[_WEIGHTS][layer]) if _RANDOM_STATE not in n]
            missing = [n for n in names if f"{_WEIGHTS}/{layer}/{n}" not in values]
            if missing:
                raise UserError(f"{path}: the file announces {missing[0]} and does not hold it")
            arrays[layer] = [(name, values[f"{_WEIGHTS}/{layer}/{name}"]) for name in names]
    return ModelFile(path, config, arrays)


def _weight_names(group: h5py.Group) -> list[str]:
    """Long lists are cut into `weight_names0`, `weight_names1`, ..."""
    if "weight_names" in group.attrs:
        return [_text(name) for name in group.attrs["weight_names"]]
    parts = (f"weight_names{number}" for number in itertools.count())
    held = itertools.takewhile(lambda name: name in group.attrs, parts)
    return [_text(name) for part in held for name in group.attrs[part]]


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
