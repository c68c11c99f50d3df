"""The weights in a checkpoint of a run of ours, by the original's names."""

import re

import keras

from efficientnet_tf.config import UserError
from efficientnet_tf.weights.assignment import CLASSIFIER, Weights
from efficientnet_tf.weights.formats.tensor_bundle import TensorBundle
from efficientnet_tf.weights.naming import checkpoint_variables
from efficientnet_tf.weights.opened import Source

_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
_CLASSIFIER_PATHS = ("predictions/kernel", "predictions/bias")


class RunCheckpoint:
    """A checkpoint that `train.checkpoint` wrote.

    Attributes:
      prefix: where it lies.
      shapes: of its variables `model/<path>`, `ema/<path>` and `optimizer/<path>`.

    Raises:
      UserError: no such checkpoint, or a damaged one.
    """

    def __init__(self, prefix: str):
        self.prefix = prefix
        self._bundle = TensorBundle(prefix)
        self._keys = {_unescaped(k): k for k in self._bundle.shapes if k.endswith(_SUFFIX)}
        self._keys.pop("save_counter", None)
        self.shapes = {name: self._bundle.shapes[key] for name, key in self._keys.items()}

    def kind(self, ema: bool = True) -> str:
        """Which weights there are to take: `"ema"`, or `"raw"` without an average or wish."""
        return "ema" if ema and any(name.startswith("ema/") for name in self.shapes) else "raw"

    def source(self, ema: bool = True, overrides: dict[str, object] | None = None) -> Source:
        """The weights as what every format is opened as.

        Args:
          overrides: fields of `ModelConfig` that the run was trained with.
        """
        part = "ema/" if self.kind(ema) == "ema" else "model/"
        keys = {n.removeprefix(part): k for n, k in self._keys.items() if n.startswith(part)}
        if not keys:
            raise UserError(f"{self.prefix}: not a checkpoint of a run of this program")

        def read(model: keras.Model) -> Weights:
            names = {v.path: name for name, v in checkpoint_variables(model).items()}
            names.update(zip(_CLASSIFIER_PATHS, CLASSIFIER, strict=True))  # a model may lack it
            return {names.get(path, path): self._bundle.read(key) for path, key in keys.items()}

        bias = self.shapes.get(part + _CLASSIFIER_PATHS[1])
        return Source(self.prefix, bias[0] if bias else None, read, overrides or {})


def _unescaped(key: str) -> str:
    """`ema/stem.Sconv2d.Skernel/.ATTRIBUTES/VARIABLE_VALUE` -> `ema/stem/conv2d/kernel`."""
    name = key.removesuffix(_SUFFIX)
    return re.sub(r"\.(.)", lambda match: "/" if match[1] == "S" else match[1], name)
