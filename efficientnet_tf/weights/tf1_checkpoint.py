"""The published checkpoint format: TF1 variables under the original's names.

A variable of ours is called in a checkpoint what its Keras path says, below a scope that is the
model's name: `efficientnet-b0/blocks_3/conv2d/kernel`. Exceptions are in `_checkpoint_name`.
Evaluation weights are the twins `<name>/ExponentialMovingAverage`; exported checkpoints hold them
under the plain names instead.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from efficientnet_tf.config import UserError

EMA_SUFFIX = "/ExponentialMovingAverage"
_SLOTS = re.compile(r"/(RMSProp(_1)?|Momentum|LARSOptimizer)$")
_STEM = "stem/conv2d/kernel"
_LISTED = 10


def _checkpoint_name(path: str) -> str:
    """The original's name, without scope, for the path of a Keras variable."""
    path = path.replace("depthwise_conv2d/kernel", "depthwise_conv2d/depthwise_kernel")
    return re.sub(r"^predictions/", "head/dense/", path)


def checkpoint_variables(model: keras.Model) -> dict[str, keras.Variable]:
    """The network's variables by their names in a checkpoint, without scope, in model order."""
    return {_checkpoint_name(variable.path): variable for variable in model.weights}


def find_checkpoint(path: str) -> str:
    """The checkpoint prefix meant by `path`, itself a prefix, an `.index` file or a directory.

    The `checkpoint` file of a directory is believed only where what it names exists: published
    archives carry paths of the machine that wrote them.
    """
    location = Path(path)
    if location.is_dir():
        latest = tf.train.latest_checkpoint(path)
        if latest and Path(f"{latest}.index").exists():
            return latest
        found = sorted(location.glob("*.index"))
        if len(found) != 1:
            what = "no checkpoint (*.index)" if not found else f"{len(found)} checkpoints; name one"
            raise UserError(f"{path}: {what} in this directory")
        return str(found[0].with_suffix(""))
    prefix = path.removesuffix(".index")
    if not Path(f"{prefix}.index").exists():
        raise UserError(f"{path}: no such checkpoint (expected {prefix}.index)")
    return prefix


class TF1Checkpoint:
    """A checkpoint's variables by their names without scope.

    Attributes:
      prefix: where it lies.
      scope: the original's model name at the head of every variable.
      has_ema, has_raw: which of the two sets of weights it holds.
    """

    def __init__(self, path: str):
        self.prefix = find_checkpoint(path)
        try:
            self._reader = tf.train.load_checkpoint(self.prefix)
            shapes = self._reader.get_variable_to_shape_map()
        except Exception as error:
            raise UserError(f"{self.prefix}: not a readable checkpoint ({error})") from None
        stems = [name.removesuffix(EMA_SUFFIX) for name in shapes if f"/{_STEM}" in f"/{name}"]
        stems = [name for name in stems if name.endswith(_STEM)]
        if not stems:
            raise UserError(f"{self.prefix}: not an EfficientNet checkpoint (no {_STEM})")
        self.scope = stems[0].removesuffix(_STEM)
        self._names = {_canonical(name, self.scope): name for name in shapes}
        self.shapes = {name: tuple(shapes[self._names[name]]) for name in self._names}
        self.has_ema = f"{_STEM}{EMA_SUFFIX}" in self._names
        self.has_raw = _STEM in self._names

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def read(self, name: str) -> np.ndarray:
        """The value of one variable."""
        return self._reader.get_tensor(self._names[name])

    def weight_names(self, suffix: str) -> set[str]:
        """The names, less `suffix`, of the network's variables in one set of weights."""
        names = {n for n in self._names if "/" in n and not _SLOTS.search(n)}
        if suffix:
            return {n.removesuffix(suffix) for n in names if n.endswith(suffix)}
        return {n for n in names if not n.endswith(EMA_SUFFIX)}


def _canonical(name: str, scope: str) -> str:
    """Without scope, and with the training name of batch norm (exports shorten it)."""
    return re.sub(r"/batch_normalization", "/tpu_batch_normalization", name.removeprefix(scope))


def _listing(kind: str, names: Iterable[str]) -> str:
    names = sorted(names)
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"{len(names)} {kind}: {', '.join(names[:_LISTED])}{more}" if names else ""


def _check(model, variables, checkpoint, suffix):
    """Raises the one error that lists everything in which checkpoint and model differ."""
    held = checkpoint.weight_names(suffix)
    shapes = {name: checkpoint.shapes[name + suffix] for name in held & set(variables)}
    misshapen = [
        f"{name} {shape} (model {tuple(variables[name].shape)})"
        for name, shape in shapes.items()
        if shape != tuple(variables[name].shape)
    ]
    faults = [
        _listing("missing", set(variables) - held),
        _listing("not in the model", held - set(variables)),
        _listing("of another shape", misshapen),
    ]
    if any(faults):
        raise UserError(
            f"{checkpoint.prefix} does not fit {model.name}: "
            + "; ".join(fault for fault in faults if fault)
        )


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
    if not ema and not checkpoint.has_raw:
        raise UserError(f"{checkpoint.prefix} holds moving averages only; load it with ema=True")
    suffix = EMA_SUFFIX if ema and checkpoint.has_ema else ""
    variables = checkpoint_variables(model)
    _check(model, variables, checkpoint, suffix)
    values = {name: checkpoint.read(name + suffix) for name in variables}
    for name, variable in variables.items():
        variable.assign(values[name])
