"""What every format of weights is opened as, and which network some weights need."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import keras
import numpy as np

from efficientnet_tf.arch.variants import VARIANTS, model_config
from efficientnet_tf.config import DEFAULT_LOSS, DEFAULT_MODEL, ModelConfig, UserError
from efficientnet_tf.weights.assignment import Weights
from efficientnet_tf.weights.description import Description

# Normalisations closer than this, on the scale 0..255, are the same one written differently.
_TOLERANCE = 0.05
# ImageNet-21k has 21,843. A damaged file may announce as many as would fill the memory.
_MAX_CLASSES = 200_000
# Chosen for each training anew. Every other field of a described network is its weights'.
_OF_THE_TRAINING = {"dropout_rate", "survival_prob", "batch_norm_momentum"}


@dataclass(frozen=True)
class OpenedWeights:
    """Weights that are known to exist, not yet read.

    Attributes:
      where: what to call them in a message.
      read: from a model, of which only the structure counts, to the weights by the original's
        names; layers the model does not have come under names it does not have either.
      classes: width of their classifier, None without one.
      needs: fields of `ModelConfig` that they were trained with, as far as the format tells.
      model_name: the variant they are of, None if the format does not tell.
      is_described: `needs` and `model_name` are the whole truth, written by this package.
      step: optimizer steps behind them, 0 if unknown.
      kind: `ema` for moving averages, `raw` for others.
      label_names: one per class of the data, the background not among them; None if unknown.
      loss: what they were trained by, as far as the format tells.
    """

    where: str
    read: Callable[[keras.Model], Weights]
    classes: int | None = None
    needs: Mapping[str, object] = field(default_factory=dict)
    model_name: str | None = None
    is_described: bool = False
    step: int = 0
    kind: str = "raw"
    label_names: tuple[str, ...] | None = None
    loss: str = DEFAULT_LOSS

    @property
    def classifier_activation(self) -> str:
        """From logits to probabilities: of one class an image, or of each class by itself."""
        return "softmax" if self.loss == "softmax" else "sigmoid"

    @classmethod
    def described(
        cls,
        where: str,
        read: Callable[[keras.Model], Weights],
        classes: int | None,
        description: Description,
    ) -> "OpenedWeights":
        """Weights with a description beside them."""
        skipped = {"name", "num_classes", *_OF_THE_TRAINING}
        fields = vars(description.network)
        return cls(
            where,
            read,
            classes,
            {name: value for name, value in fields.items() if name not in skipped},
            description.network.name,
            is_described=True,
            step=description.step,
            kind=description.kind,
            label_names=description.label_names,
            loss=description.loss,
        )


def variant_called(name: str) -> str | None:
    """`name` if it is a variant's, else None."""
    return name if name in VARIANTS else None


def network_for(
    weights: OpenedWeights | None, model_name: str | None, said: Mapping[str, object]
) -> ModelConfig:
    """The network to build for some weights.

    Each field is what was said, else what the weights need, else the variant's own. What was said
    may contradict what the weights need: that they do not fit is found when they are loaded.

    Args:
      weights: None for a network without.
      model_name: the variant that was said, None for the weights' own or `DEFAULT_MODEL`.
      said: fields of `ModelConfig`.

    Raises:
      UserError: an unknown variant or field; weights that are known to be of another variant.
    """
    if weights is None:
        return model_config(model_name or DEFAULT_MODEL, **said)
    name = model_name or weights.model_name or DEFAULT_MODEL
    if weights.is_described and name != weights.model_name:
        raise UserError(f"{weights.where} holds {weights.model_name}, not {name}")
    if (weights.classes or 0) > _MAX_CLASSES:
        raise UserError(f"{weights.where} announces {weights.classes} classes, more than any data")
    classes = {"num_classes": weights.classes} if weights.classes else {}
    return model_config(name, **{**weights.needs, **classes, **said})


def check_settings(model: keras.Model, weights: OpenedWeights) -> None:
    """Raises a `UserError` where `model` was built to compute something else than `weights`.

    Weights of another normalisation, padding or epsilon fit every variable and predict nonsense.
    """
    actual = model_settings(model)
    wrong = {
        name: value
        for name, value in weights.needs.items()
        if name in actual and not _same(actual[name], value)
    }
    if wrong:
        needed = ", ".join(f"{name}={value!r}" for name, value in wrong.items())
        raise UserError(f"{weights.where} needs a {model.name} that is built with {needed}")


def _same(actual: object, wanted: object) -> bool:
    if isinstance(wanted, tuple):
        return bool(np.allclose(actual, wanted, rtol=0, atol=_TOLERANCE))
    if isinstance(wanted, float):
        return bool(np.isclose(actual, wanted))
    return actual == wanted


def model_settings(model: keras.Model) -> dict[str, object]:
    """The fields of `ModelConfig` that weights fit or contradict without any shape telling.

    No normalisation where the caller does it.
    """
    layers = {layer.name: layer for layer in model.layers}
    stem = layers["stem"]
    settings = {
        "padding": stem.settings["padding"],
        "quantize_aware": stem.quantized,
    }
    if stem.batch_norm_settings is not None:
        settings["batch_norm_epsilon"] = stem.batch_norm.epsilon
    if "normalization" in layers:
        mean, variance = (
            np.ravel(keras.ops.convert_to_numpy(value))
            for value in (layers["normalization"].mean, layers["normalization"].variance)
        )
        if mean.size == 3:
            settings["mean_rgb"] = tuple(map(float, mean))
            settings["stddev_rgb"] = tuple(map(float, np.sqrt(variance)))
    return settings
