"""`--init_checkpoint`: a run of ours, or anything `weights.loading` reads."""

from dataclasses import dataclass

import keras

from efficientnet_tf.config import ModelConfig
from efficientnet_tf.train.checkpoint import checkpoint_step, find_checkpoints, load_run_weights
from efficientnet_tf.weights.loading import load_weights, open_source
from efficientnet_tf.weights.source import Source
from efficientnet_tf.weights.tf1_checkpoint import EMA_SUFFIX, TF1Checkpoint
from efficientnet_tf.weights.warm_start import warm_start


@dataclass(frozen=True)
class InitialWeights:
    """Weights to start from or to evaluate, opened and not yet read.

    Attributes:
      path: as the user gave it, the name of a published set included.
      run: the newest checkpoint of a run of ours that lies there, or None.
      source: what it is otherwise.
    """

    path: str
    run: str | None
    source: Source | None

    @classmethod
    def open(cls, path: str, model_name: str) -> "InitialWeights":
        """Finds out what `path` is.

        Raises:
          UserError: nothing that can be read, or no such published set.
        """
        name = path.rstrip("/").rsplit("/", 1)[-1]
        runs = find_checkpoints(path)
        if not runs and name.startswith("ckpt-"):
            runs = [path.removesuffix(".index")]
        return cls(path, runs[0], None) if runs else cls(path, None, open_source(path, model_name))

    def adapt(self, model: ModelConfig) -> ModelConfig:
        """The network these weights were trained as: its normalisation, padding, input size."""
        return model.replace(**self.source.overrides) if self.source else model

    @property
    def num_classes(self) -> int | None:
        """Width of the classifier, None if that is not known."""
        return self.source.classes if self.source else None

    def load(self, model: keras.Model, model_name: str) -> tuple[int, str]:
        """Sets all weights, for evaluation.

        Returns:
          The step they are from (0 if unknown), and which they are: `"ema"` or `"raw"`.
        """
        if self.run:
            return checkpoint_step(self.run), load_run_weights(model, self.run)
        load_weights(model, self.path, model_name=model_name)
        return self._provenance()

    def _provenance(self):
        try:
            checkpoint = TF1Checkpoint(self.source.where)
        except ValueError:  # another format, which says neither
            return 0, "raw"
        averaged = any(name.endswith(EMA_SUFFIX) for name in checkpoint.shapes)
        return checkpoint.step, "ema" if averaged else "raw"

    def start(self, model: keras.Model, model_name: str) -> str:
        """Sets what fits, for training; what was done, in words."""
        if self.run:
            load_run_weights(model, self.run)
            return f"all weights loaded from {self.run}"
        return str(warm_start(model, self.path, model_name=model_name))
