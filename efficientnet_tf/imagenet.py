"""From pictures to what a network sees, and from its predictions to the names of ImageNet."""

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from efficientnet_tf.arch.variants import model_config
from efficientnet_tf.config import UserError

BACKGROUND = "background"


def preprocess_input(
    images: Any, data_format: str | None = None, *, model_name: str | None = None
) -> Any:
    """Images in 0..255 as a network expects them.

    Args:
      images: RGB in 0..255, [..., 3], NumPy or of the backend.
      data_format: unused, as in `keras.applications`, whose signature this has.
      model_name: None for networks that normalise inside (the default of `build_model`), for which
        nothing is to be done, as in `keras.applications`; the variant's name for a network that
        was built with `include_preprocessing=False`.
    """
    del data_format
    if model_name is None:
        return images
    config = model_config(model_name)
    return (images - np.float32(config.mean_rgb)) / np.float32(config.stddev_rgb)


@functools.cache
def _classes() -> list[tuple[str, str]]:
    """`(WordNet id, names separated by commas)` of the 1000 ImageNet classes."""
    path = Path(__file__).parent / "data" / "imagenet_labels.json"
    return [tuple(row) for row in json.loads(path.read_text(encoding="utf-8"))]


@functools.cache
def imagenet_labels() -> tuple[str, ...]:
    """The names of the 1000 ImageNet classes, synonyms separated by commas."""
    return tuple(names for _, names in _classes())


def synsets() -> dict[str, str]:
    """WordNet id -> the names of the class, for the 1000 ImageNet classes."""
    return dict(_classes())


def class_names(num_classes: int, label_names: Sequence[str] | None) -> list[str]:
    """A name for each output of a classifier.

    Args:
      num_classes: width of the classifier. With one more than there are names, the first output is
        the background.
      label_names: of the data; None for ImageNet's names where the number of classes says
        ImageNet, else numbers.
    """
    names = list(label_names or imagenet_labels())
    if num_classes == len(names) + 1:
        return [BACKGROUND, *names]
    return names if num_classes == len(names) else [str(i) for i in range(num_classes)]


def decode_predictions(predictions: Any, top: int = 5) -> list[list[tuple[str, str, float]]]:
    """The likeliest ImageNet classes of each image, best first, as `keras.applications` has them.

    Args:
      predictions: probabilities or logits, [N, 1000], or [N, 1001] with a background class first.
      top: how many for each image.

    Returns:
      For each image a list of `(WordNet id, name, prediction)`: `("n02123045", "tabby", 0.9)`.

    Raises:
      UserError: another number of classes.
    """
    predictions = np.asarray(keras.ops.convert_to_numpy(predictions))
    classes = [(wordnet, names.split(",")[0].replace(" ", "_")) for wordnet, names in _classes()]
    if predictions.ndim != 2 or predictions.shape[1] not in (len(classes), len(classes) + 1):
        raise UserError(f"predictions of ImageNet are [N, 1000 or 1001], not {predictions.shape}")
    if predictions.shape[1] > len(classes):
        classes = [(BACKGROUND, BACKGROUND), *classes]
    best = np.argsort(-predictions, axis=1, kind="stable")[:, :top]
    return [
        [(*classes[index], float(row[index])) for index in indices]
        for row, indices in zip(predictions, best, strict=True)
    ]
