"""From any format of weights to any that others read."""

import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import keras

from efficientnet_tf.arch.variants import model_config
from efficientnet_tf.config import ModelConfig, UserError
from efficientnet_tf.nn.network import build_network
from efficientnet_tf.weights.assignment import assign, collect
from efficientnet_tf.weights.formats.tf1_export import save_tf1_checkpoint
from efficientnet_tf.weights.formats.torch_files import write_safetensors
from efficientnet_tf.weights.formats.torch_state import stages_of_config, to_torch
from efficientnet_tf.weights.loading import open_source


def convert(
    model_name: str,
    source: str | Path,
    target: str | Path,
    *,
    ema: bool = True,
    safe_mode: bool = True,
    **overrides: object,
) -> ModelConfig:
    """Reads `source`, whatever `load_weights` reads, and writes it to `target`.

    Args:
      model_name: the variant that the weights are for.
      target: told by its suffix: `.keras` (the network with its preprocessing), `.weights.h5`,
        `.safetensors` (timm's names); anything else is a TF1 checkpoint, a directory or a prefix
        that ends in `.ckpt`.
      ema: take the moving averages of a training checkpoint, False for the raw weights.
      overrides: fields of `ModelConfig`; they win over what the source says it needs.

    Returns:
      What was converted: classes, normalisation, padding and epsilon as the source needs them.

    Raises:
      UserError: as `load_weights`; or a target that has no place for this network.
    """
    target = Path(target)
    if target.suffix in (".h5", ".pth", ".pt", ".bin") and not _is_weights_h5(target):
        raise UserError(f"{target}: write .keras, .weights.h5, .safetensors or a TF1 checkpoint")
    opened = open_source(source, model_name, ema, safe_mode)
    classes = {"num_classes": opened.classes} if opened.classes else {}
    config = model_config(model_name, **{**opened.overrides, **classes, **overrides})
    model = build_network(config, include_top=opened.classes is not None)
    assign(model, opened.read(model), opened.where)
    write_weights(model, config, target)
    return config


def _is_weights_h5(path: Path) -> bool:
    return path.name.endswith(".weights.h5")


def write_weights(model: keras.Model, config: ModelConfig, target: Path) -> None:
    """Writes a network's weights; `target` is told by its suffix, as in `convert`."""
    if target.suffix == ".keras":
        _replace(target, model.save)
    elif _is_weights_h5(target):
        _replace(target, model.save_weights)
    elif target.suffix == ".safetensors":
        state = to_torch(collect(model), stages_of_config(config))
        _replace(target, partial(write_safetensors, state))
    else:
        save_tf1_checkpoint(model, target, scope=config.name)


def _replace(target: Path, write: Callable[[Path], None]) -> None:
    """Writes a file that appears when it is complete; a killed process breaks an open HDF5."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        path = Path(scratch, target.name)
        write(path)
        os.replace(path, target)
