"""Writes the published checkpoint format: raw weights and moving averages, as the original saved.

The graph definition (`.meta`) is left out: neither this package nor the original's own restoring of
weights reads it.
"""

import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from efficientnet_tf.weights.assignment import Weights, collect
from efficientnet_tf.weights.formats.tf1_checkpoint import EMA_SUFFIX


def save_tf1_checkpoint(
    model: keras.Model,
    path: str | Path,
    averages: Weights | None = None,
    *,
    scope: str | None = None,
    global_step: int = 0,
) -> str:
    """Writes the weights of `model` as a TF1 checkpoint, and names it in a `checkpoint` file.

    Args:
      model: a network of this package; its weights go under the plain names.
      path: a prefix, `somewhere/model.ckpt`; or a directory (existing, or without a suffix), where
        the prefix is `model.ckpt`.
      averages: the moving averages by name, `assignment.collect`; the weights themselves where
        there are none, for the original evaluates with the averages only.
      scope: what the original calls the model, `efficientnet-b0`; the model's name by default.
      global_step: training steps behind the weights.

    Returns:
      The prefix.
    """
    path = Path(path)
    prefix = path / "model.ckpt" if path.is_dir() or not path.suffix else path
    weights, scope = collect(model), scope or model.name
    tensors = {f"{scope}/{name}": value for name, value in weights.items()}
    for name in weights:
        tensors[f"{scope}/{name}{EMA_SUFFIX}"] = (averages or weights)[name]
    tensors = {name: np.asarray(value, np.float32) for name, value in tensors.items()}
    tensors["global_step"] = np.int64(global_step)
    _write(prefix, tensors)
    state = f'model_checkpoint_path: "{prefix.name}"\nall_model_checkpoint_paths: "{prefix.name}"\n'
    prefix.with_name("checkpoint").write_text(state)
    return str(prefix)


def _write(prefix: Path, tensors: dict[str, np.ndarray]) -> None:
    """All files of a checkpoint, its index last: without one nobody takes it for a checkpoint."""
    prefix.parent.mkdir(parents=True, exist_ok=True)
    names = sorted(tensors)
    with tempfile.TemporaryDirectory(dir=prefix.parent) as scratch:
        tf.raw_ops.SaveV2(
            prefix=str(Path(scratch, prefix.name)),
            tensor_names=names,
            shape_and_slices=[""] * len(names),
            tensors=[tf.constant(tensors[name]) for name in names],
        )
        for file in sorted(Path(scratch).iterdir()):  # .data-… before .index
            file.replace(prefix.with_name(file.name))
