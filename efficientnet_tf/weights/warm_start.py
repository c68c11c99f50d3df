"""A start from weights that fit in part: another number of classes, another classifier."""

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from efficientnet_tf.weights.assignment import (
    CLASSIFIER,
    IMAGENET_CLASSES,
    Weights,
    check_fit,
    classifier_width,
    collect,
    drop_background,
    listing,
)
from efficientnet_tf.weights.loading import naming_the_variant, open_weights, read_for
from efficientnet_tf.weights.naming import checkpoint_variables
from efficientnet_tf.weights.opened import OpenedWeights


@dataclass(frozen=True)
class Report:
    """What a warm start did, by the original's names of the variables.

    Attributes:
      source: where the weights came from.
      loaded: set from the file.
      skipped: held by the file and not taken: the classifier, if it is of another size.
      missing: not in the file; they keep their initial values, but for the classifier.
      zeroed: the new classifier's variables, if neither was loaded.
      label_shift: what was added to the file's labels: -1 where its background class was dropped,
        1 where the model has one that the file has not (it keeps its initial values).
    """

    source: str
    loaded: tuple[str, ...]
    skipped: tuple[str, ...]
    missing: tuple[str, ...]
    zeroed: tuple[str, ...] = ()
    label_shift: int = 0

    def __str__(self) -> str:
        parts = [f"{len(self.loaded)} variables loaded from {self.source}"]
        parts += [listing("skipped", self.skipped), listing("missing", self.missing)]
        parts += ["the new classifier starts at zero"] if self.zeroed else []
        parts += [f"labels shift by {self.label_shift} (background)"] if self.label_shift else []
        return "; ".join(part for part in parts if part)


def warm_start(
    model: keras.Model,
    source: str | Path,
    ema: bool = True,
    *,
    model_name: str | None = None,
    skip_classifier: bool = False,
) -> Report:
    """Sets the weights of `model` except a classifier that is of another size or absent.

    Such a new classifier starts at zero: every class is as likely, and the first gradients go to
    it alone. The initial values of training from scratch, up to 1/sqrt(classes), are meant for
    1,000 classes; on trained features and five classes they give logits of about 10, whose
    gradients ruin the features before the classifier has learnt anything.

    Args:
      model: a network of this package, whatever its number of classes.
      source: whatever `load_weights` takes.
      ema, model_name: as in `load_weights`.
      skip_classifier: leave the classifier even where it fits: new classes, equal in number.

    Raises:
      UserError: the rest of the network differs; nothing is loaded then.
    """
    opened = open_weights(source, model_name or model.name, ema)
    return start_from(model, opened, skip_classifier)


def start_from(model: keras.Model, opened: OpenedWeights, skip_classifier: bool = False) -> Report:
    """`warm_start` from what is already open."""
    held = read_for(model, opened)
    weights, label_shift = _align_labels(held, model)
    if skip_classifier or _classes(weights) != classifier_width(model):
        weights = {name: value for name, value in weights.items() if name not in CLASSIFIER}
        label_shift = 0
    with naming_the_variant(held, model.name):
        check_fit(model, _shapes_beside_classifier(model, weights), opened.where)
    variables = checkpoint_variables(model)
    for name in variables.keys() & weights.keys():
        variables[name].assign(weights[name])
    zeroed = tuple(name for name in CLASSIFIER if name in variables and name not in weights)
    for name in zeroed:
        variables[name].assign(np.zeros(variables[name].shape))
    return Report(
        opened.where,
        loaded=tuple(name for name in variables if name in weights),
        skipped=tuple(name for name in CLASSIFIER if name in held and name not in weights),
        missing=tuple(name for name in variables if name not in held),
        zeroed=zeroed,
        label_shift=label_shift,
    )


def _classes(weights: Weights) -> int | None:
    return weights[CLASSIFIER[1]].shape[0] if CLASSIFIER[1] in weights else None


def _align_labels(weights: Weights, model: keras.Model) -> tuple[Weights, int]:
    """`weights` with a background class if the model has one, and how labels shifted by that."""
    classes = classifier_width(model)
    if _classes(weights) == IMAGENET_CLASSES and classes == IMAGENET_CLASSES + 1:
        own = collect(model)
        merged = {n: np.concatenate([own[n][..., :1], weights[n]], -1) for n in CLASSIFIER}
        return {**weights, **merged}, 1
    dropped = drop_background(weights, classes)
    return dropped, 0 if dropped is weights else -1


def _shapes_beside_classifier(model: keras.Model, weights: Weights) -> dict[str, tuple]:
    """The file's shapes as if its classifier were the model's: only the rest is to fit."""
    shapes = {name: tuple(value.shape) for name, value in weights.items()}
    variables = checkpoint_variables(model)
    return shapes | {n: tuple(variables[n].shape) for n in CLASSIFIER if n in variables}
