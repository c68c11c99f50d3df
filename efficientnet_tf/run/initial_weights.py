"""`--init_checkpoint`: a run of ours, or anything `weights.loading` reads."""

from dataclasses import dataclass

import keras

from efficientnet_tf.config import ModelConfig
from efficientnet_tf.run.folder import RunFolder
from efficientnet_tf.train.checkpoint import checkpoint_step, find_checkpoints, is_checkpoint_name
from efficientnet_tf.weights.formats.run_checkpoint import RunCheckpoint
from efficientnet_tf.weights.formats.tensor_bundle import bundle_files
from efficientnet_tf.weights.formats.tf1_checkpoint import EMA_SUFFIX, TF1Checkpoint
from efficientnet_tf.weights.loading import load_source, open_source
from efficientnet_tf.weights.opened import Source
from efficientnet_tf.weights.published.table import published_sets
from efficientnet_tf.weights.warm_start import start_from

# What is decided for each training anew; everything else of a run's network is its weights'.
_OF_THE_TRAINING = {"num_classes", "dropout_rate", "survival_prob", "batch_norm_momentum"}


@dataclass(frozen=True)
class InitialWeights:
    """Weights to start from or to evaluate, opened and not yet read.

    Attributes:
      path: as the user gave it, the name of a published set included.
      model_name: the variant a published set is for.
      run: the checkpoint of a run of ours that lies there, the newest of a folder, or None.
      source: the weights.
      label_names: the names of the run's classes, None if they have none.
    """

    path: str
    model_name: str
    run: str | None
    source: Source
    label_names: list[str] | None = None

    @classmethod
    def open(cls, path: str, model_name: str) -> "InitialWeights":
        """Finds out what `path` is.

        Raises:
          UserError: nothing that can be read, or no such published set.
        """
        if not (run := _find_run(path)):
            return cls(path, model_name, None, open_source(path, model_name))
        folder = RunFolder(run.rpartition("/")[0] or ".")
        model = folder.read_model()
        if not model and folder.path.endswith("/archive"):
            folder = RunFolder(folder.path.removesuffix("/archive"))
            model = folder.read_model()
        fields = vars(model) if model else {}
        overrides = {n: value for n, value in fields.items() if n not in _OF_THE_TRAINING}
        source = RunCheckpoint(run).source(overrides=overrides)
        return cls(path, model_name, run, source, folder.read_labels())

    def adapt(self, model: ModelConfig) -> ModelConfig:
        """The network these weights were trained as.

        Of a run that is all but what regularises its training; of other files, as far as they
        tell, normalisation, padding and input size.
        """
        return model.replace(**self.source.overrides)

    @property
    def num_classes(self) -> int | None:
        """Width of the classifier, None if that is not known."""
        return self.source.classes

    def load(self, model: keras.Model) -> tuple[int, str]:
        """Sets all weights, for evaluation.

        Returns:
          The step they are from (0 if unknown), and which they are: `"ema"` or `"raw"`.
        """
        load_source(model, self.source)
        if self.run:
            return checkpoint_step(self.run), RunCheckpoint(self.run).kind()
        return self._provenance()

    def _provenance(self):
        if self.path == "imagenet" or self.path in published_sets(self.model_name):
            return 0, "ema"  # what the published accuracies are measured with
        try:
            checkpoint = TF1Checkpoint(self.source.where)
        except ValueError:  # another format, which says neither
            return 0, "raw"
        averaged = any(name.endswith(EMA_SUFFIX) for name in checkpoint.shapes)
        return checkpoint.step, "ema" if averaged else "raw"

    def start(self, model: keras.Model) -> str:
        """Sets what fits, for training; what was done, in words."""
        return str(start_from(model, self.source))


def _find_run(path: str) -> str | None:
    """The checkpoint meant by `path`, a folder, a prefix or an `.index` file of a run of ours."""
    if prefixes := find_checkpoints(path):
        return prefixes[0]
    prefix = path.removesuffix(".index")
    named = is_checkpoint_name(prefix.rpartition("/")[2])
    return prefix if named and bundle_files(prefix) else None
