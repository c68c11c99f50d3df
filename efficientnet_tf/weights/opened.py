"""What every format of weights is opened as."""

from collections.abc import Callable
from dataclasses import dataclass, field

import keras
import numpy as np

from efficientnet_tf.config import UserError
from efficientnet_tf.weights.assignment import Weights

# Normalisations closer than this, on the scale 0..255, are the same one written differently.
_TOLERANCE = 0.05


@dataclass(frozen=True)
class Source:
    """Weights that are known to exist, not yet read.

    Attributes:
      where: what to call them in a message.
      classes: width of their classifier, None without one.
      read: from a model, of which only the structure counts, to the weights by the original's
        names; layers the model does not have come under names it does not have either.
      overrides: fields of `ModelConfig` that they need, as far as the format tells.
    """

    where: str
    classes: int | None
    read: Callable[[keras.Model], Weights]
    overrides: dict[str, object] = field(default_factory=dict)


def check_settings(model: keras.Model, source: Source) -> None:
    """Raises a `UserError` where `model` was built to compute something else than `source`.

    Weights of another normalisation, padding or epsilon fit every variable and predict nonsense.
    """
    actual = model_settings(model)
    wrong = {
        name: value
        for name, value in source.overrides.items()
        if name in actual and not _same(actual[name], value)
    }
    if wrong:
        needed = ", ".join(f"{name}={value!r}" for name, value in wrong.items())
        raise UserError(f"{source.where} needs a {model.name} that is built with {needed}")


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
        "batch_norm_epsilon": stem.batch_norm.epsilon,
        "padding": stem.settings["padding"],
    }
    if "normalization" in layers:
        mean, variance = (
            np.ravel(keras.ops.convert_to_numpy(value))
            for value in (layers["normalization"].mean, layers["normalization"].variance)
        )
        if mean.size == 3:
            settings["mean_rgb"] = tuple(map(float, mean))
            settings["stddev_rgb"] = tuple(map(float, np.sqrt(variance)))
    return settings
