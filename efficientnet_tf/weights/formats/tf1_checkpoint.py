"""The published checkpoint format: TF1 variables under the original's names.

The names of `weights.naming` stand below a scope that is the model's name:
`efficientnet-b0/blocks_3/conv2d/kernel`.
Evaluation weights are the twins `<name>/ExponentialMovingAverage`; exported checkpoints hold them
under the plain names instead.
"""

import logging
import os
import re

import keras
import numpy as np
import tensorflow as tf

from efficientnet_tf.config import UserError
from efficientnet_tf.weights.assignment import CLASSIFIER, Weights, assign
from efficientnet_tf.weights.formats.tensor_bundle import TensorBundle, folder_files
from efficientnet_tf.weights.opened import OpenedWeights, variant_called
from efficientnet_tf.weights.size_limit import check_size

_log = logging.getLogger(__name__)

EMA_SUFFIX = "/ExponentialMovingAverage"
_SLOTS = re.compile(r"/(RMSProp(_1)?|Momentum|LARSOptimizer)$")
_STEM = "stem/conv2d/kernel"


def checkpoint_prefix(path: str) -> str:
    """The checkpoint prefix meant by `path`, itself a prefix, an `.index` file or a directory.

    All of them may be URLs that TensorFlow reads, such as `gs://`.

    Of what the `checkpoint` file of a directory names, only the last part counts, and only where
    the directory has it: published archives carry paths of the machine that wrote them, and others
    could carry a path to anywhere on this one.
    """
    if tf.io.gfile.isdir(path):
        if prefix := _newest_by_state(path):
            return prefix
        found = [name for name in folder_files(path) if name.endswith(".index")]
        if len(found) != 1:
            what = "no checkpoint (*.index)" if not found else f"{len(found)} checkpoints; name one"
            raise UserError(f"{path}: {what} in this directory")
        return f"{path.rstrip('/')}/{found[0].removesuffix('.index')}"
    prefix = path.removesuffix(".index")
    if not tf.io.gfile.exists(f"{prefix}.index"):
        raise UserError(f"{path}: no such checkpoint (expected {prefix}.index)")
    return prefix


def _newest_by_state(folder: str) -> str | None:
    """The checkpoint in `folder` that its `checkpoint` file names, None if there is none."""
    try:  # not latest_checkpoint, which globs
        state = tf.train.get_checkpoint_state(folder)
    except (ValueError, tf.errors.OpError):  # damaged; a single checkpoint is found without it
        return None
    if not state or not state.model_checkpoint_path:
        return None
    named = state.model_checkpoint_path
    prefix = f"{folder.rstrip('/')}/{named.rpartition('/')[2]}"
    if not tf.io.gfile.exists(f"{prefix}.index"):
        return None
    if os.path.abspath(named) != os.path.abspath(prefix):
        _log.warning("%s: its file 'checkpoint' names %s; %s is taken", folder, named, prefix)
    return prefix


class TF1Checkpoint:
    """A checkpoint's variables by their names without scope.

    Attributes:
      prefix: where it lies.
      scope: the original's model name at the head of every variable.
      classes: width of its classifier, None without one.
      has_ema, has_raw: which of the two sets of weights it holds.
    """

    def __init__(self, path: str):
        self.prefix = checkpoint_prefix(path)
        self._bundle = TensorBundle(self.prefix)
        shapes = self._bundle.shapes
        stems = [name.removesuffix(EMA_SUFFIX) for name in shapes if f"/{_STEM}" in f"/{name}"]
        stems = [name for name in stems if name.endswith(_STEM)]
        if not stems:
            raise UserError(f"{self.prefix}: not an EfficientNet checkpoint (no {_STEM})")
        self.scope = stems[0].removesuffix(_STEM)
        self._names = {_canonical(name, self.scope): name for name in shapes}
        self.shapes = {name: shapes[key] for name, key in self._names.items()}
        biases = [s for name, s in self.shapes.items() if name.startswith(CLASSIFIER[1]) and s]
        self.classes = biases[0][0] if biases else None
        self.has_ema = f"{_STEM}{EMA_SUFFIX}" in self._names
        self.has_raw = _STEM in self._names

    @property
    def step(self) -> int:
        """The optimizer steps it was trained for, 0 where it does not say."""
        return int(self.read("global_step")) if self.shapes.get("global_step") == () else 0

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def read(self, name: str) -> np.ndarray:
        """The value of one variable."""
        return self._bundle.read(self._names[name])

    def weight_names(self, suffix: str) -> set[str]:
        """The names, less `suffix`, of the network's variables in one set of weights."""
        names = {n for n in self._names if "/" in n and not _SLOTS.search(n)}
        if suffix:
            return {n.removesuffix(suffix) for n in names if n.endswith(suffix)}
        return {n for n in names if not n.endswith(EMA_SUFFIX)}

    def read_all(self, ema: bool = True, model: keras.Model | None = None) -> Weights:
        """One set of the network's weights by name; see `load_tf1_checkpoint`.

        Args:
          model: what they are for; if they are much larger, they are refused unread.
        """
        if not ema and not self.has_raw:
            raise UserError(f"{self.prefix} holds moving averages only; load it with ema=True")
        suffix = EMA_SUFFIX if ema and self.has_ema else ""
        keys = {name: self._names[name + suffix] for name in self.weight_names(suffix)}
        if model:
            check_size(model, self._bundle.num_bytes(keys.values()), self.prefix)
        return {name: self._bundle.read(key) for name, key in keys.items()}


def open_tf1(path: str, ema: bool = True) -> OpenedWeights:
    """A TF1 checkpoint. The scope of its variables tells the variant, where it is one's name."""
    checkpoint = TF1Checkpoint(path)
    return OpenedWeights(
        checkpoint.prefix,
        lambda model: checkpoint.read_all(ema, model),
        classes=checkpoint.classes,
        model_name=variant_called(checkpoint.scope.strip("/")),
        step=checkpoint.step,
        kind="ema" if ema and checkpoint.has_ema else "raw",
    )


def _canonical(name: str, scope: str) -> str:
    """Without scope, and with the training name of batch norm (exports shorten it)."""
    return re.sub(r"/batch_normalization", "/tpu_batch_normalization", name.removeprefix(scope))


def load_tf1_checkpoint(model: keras.Model, path: str, ema: bool = True) -> None:
    """Sets every weight of `model` from a TF1 checkpoint, or none of them.

    Args:
      model: a network of this package, with or without preprocessing inside.
      path: a checkpoint prefix, its `.index` file, or a directory that holds one checkpoint.
      ema: take the moving averages, what the published accuracies are measured with; a checkpoint
        without them (an exported one) is read under the plain names. False: the raw weights.

    Raises:
      UserError: no such file, or variables that are missing, left over or of another shape; they
        are listed and nothing is loaded.
    """
    checkpoint = TF1Checkpoint(path)
    assign(model, checkpoint.read_all(ema, model), checkpoint.prefix)
