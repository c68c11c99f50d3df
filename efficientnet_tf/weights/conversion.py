"""From any format of weights to any that others read."""

import logging
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import keras

from efficientnet_tf.arch.variants import model_config
from efficientnet_tf.config import DEFAULT_LOSS, ModelConfig, UserError
from efficientnet_tf.nn.network import build_network
from efficientnet_tf.weights.assignment import collect
from efficientnet_tf.weights.description import Description
from efficientnet_tf.weights.formats.keras_files import write_h5, write_keras
from efficientnet_tf.weights.formats.tf1_export import save_tf1_checkpoint
from efficientnet_tf.weights.formats.torch_files import write_safetensors
from efficientnet_tf.weights.formats.torch_state import stages_of_config, to_torch
from efficientnet_tf.weights.keras2.loading import load_keras2_model
from efficientnet_tf.weights.keras2.model_file import model_config as keras2_config
from efficientnet_tf.weights.keras2.own_layers import own_layers
from efficientnet_tf.weights.loading import load_opened, open_weights
from efficientnet_tf.weights.opened import network_for

_log = logging.getLogger(__name__)

# What a network computes and no shape of its variables tells.
_UNTOLD_BY_SHAPES = (
    "mean_rgb",
    "stddev_rgb",
    "padding",
    "batch_norm_epsilon",
    "input_size",
    "resize_method",
)


def convert(
    model_name: str | None,
    source: str | Path,
    target: str | Path,
    *,
    ema: bool = True,
    safe_mode: bool = True,
    layers: Mapping[str, keras.Layer] | None = None,
    **overrides: object,
) -> ModelConfig | None:
    """Reads `source`, whatever `load_weights` reads, and writes it to `target`.

    `.keras`, `.weights.h5` and `.safetensors` files keep the network's settings and the names of
    its classes. A TF1 checkpoint cannot; a warning says what it loses.

    An `.h5` of Keras 2 that holds a model with layers of its user's own becomes a `.keras` file of
    that whole model (`load_keras2_model`); for other targets they are left out, with a warning.

    Args:
      model_name: the variant that the weights are for, None for what the source says.
      target: told by its suffix: `.keras` (the network with its preprocessing), `.weights.h5`,
        `.safetensors` (timm's names), or a TF1 checkpoint: a directory, or a prefix that ends in
        `.ckpt`.
      ema: take the moving averages of a training checkpoint, False for the raw weights.
      layers: of a whole model, what takes the place of the layer of that name.
      overrides: fields of `ModelConfig`; they win over what the source says it needs.

    Returns:
      What was converted: classes, normalisation, padding and epsilon as the source needs them. None
      for the whole model of a user.

    Raises:
      UserError: as `load_weights` and `load_keras2_model`; a target that has no place for this
        network; a model name or overrides for a whole model.
    """
    target = Path(target)
    _check_target(target)
    if own := _own_layers(Path(source)):
        if target.suffix == ".keras":
            _check_whole(source, model_name, overrides)
            _replace(target, load_keras2_model(source, layers).save)
            return None
        _log.warning(
            "%s: its own layers are left out: %s; a .keras file takes them", source, ", ".join(own)
        )
    weights = open_weights(source, model_name, ema, safe_mode)
    config = network_for(weights, model_name, overrides)
    if config.quantize_aware and not (target.suffix == ".keras" or _is_weights_h5(target)):
        raise UserError(f"{target}: only .keras and .weights.h5 have a place for the ranges "
                        f"of int8 that {source} has learned")  # fmt: skip
    model = build_network(
        config,
        include_top=weights.classes is not None,
        classifier_activation=weights.classifier_activation,
    )
    load_opened(model, weights)
    description = Description(config, weights.label_names, weights.step, weights.kind, weights.loss)
    write_weights(model, description, target)
    return config


def write_weights(model: keras.Model, description: Description, target: Path) -> None:
    """Writes a network's weights; `target` is told by its suffix, as in `convert`."""
    if target.suffix == ".keras":
        _replace(target, lambda path: write_keras(model, path, description))
    elif _is_weights_h5(target):
        _replace(target, lambda path: write_h5(model, path, description))
    elif target.suffix == ".safetensors":
        state = to_torch(collect(model), stages_of_config(description.network))
        _replace(target, partial(write_safetensors, state, description=description))
    else:
        network = description.network
        save_tf1_checkpoint(model, target, scope=network.name, global_step=description.step)
        if lost := _lost_in_tf1(description):
            _log.warning("%s: a TF1 checkpoint cannot hold %s", target, ", ".join(lost))


def _check_target(target: Path) -> None:
    """Refuses a file of a format that is not written here, `.tflite` for instance."""
    is_tf1 = target.is_dir() or not re.fullmatch(r"\.[a-z]\w*", target.suffix)
    written = (".keras", ".safetensors", ".ckpt")
    if not (is_tf1 or target.suffix in written or _is_weights_h5(target)):
        raise UserError(
            f"{target}: write .keras, .weights.h5, .safetensors or a TF1 checkpoint (a folder, or "
            "a name that ends in .ckpt)"
        )


def _own_layers(source: Path) -> list[str]:
    """The layers that a user put around the network, if `source` is a whole model of Keras 2."""
    if source.suffix not in (".h5", ".hdf5") or not source.is_file():
        return []
    config = keras2_config(source)
    return own_layers(config) if config else []


def _check_whole(source: str | Path, model_name: str | None, overrides: Mapping) -> None:
    said = [*overrides, *(["model_name"] if model_name else [])]
    if said:
        raise UserError(f"{source} is a whole model and stays as it is: leave out {said[0]}")


def _is_weights_h5(path: Path) -> bool:
    return path.name.endswith(".weights.h5")


def _lost_in_tf1(description: Description) -> list[str]:
    """What the one who loads the checkpoint by the variant's name alone would not know."""
    network = description.network
    own = model_config(network.name)
    lost = [
        f"{name}={getattr(network, name)}"
        for name in _UNTOLD_BY_SHAPES
        if getattr(network, name) != getattr(own, name)
    ]
    if description.label_names:
        lost.append("the names of the classes")
    if description.loss != DEFAULT_LOSS:
        lost.append(f"loss={description.loss}")
    return lost


def _replace(target: Path, write: Callable[[Path], None]) -> None:
    """Writes a file that appears when it is complete; a killed process breaks an open HDF5."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        path = Path(scratch, target.name)
        write(path)
        os.replace(path, target)
