"""From pictures to what a network sees, and from its predictions to the names of ImageNet."""

import functools
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np

from efficientnet_tf.arch.variants import model_config
from efficientnet_tf.config import UserError


def preprocess_input(images: Any, model_name: str | None = None) -> Any:
    """Images in 0..255 as a network expects them.

    Args:
      images: RGB in 0..255, [..., 3], NumPy or of the backend.
      model_name: None for networks that normalise inside (the default of `build_model`), for which
        nothing is to be done, as in `keras.applications`; the variant's name for a network that
        was built with `include_preprocessing=False`.
    """
    if model_name is None:
        return images
    config = model_config(model_name)
    return (images - np.float32(config.mean_rgb)) / np.float32(config.stddev_rgb)


@functools.cache
def imagenet_labels() -> tuple[str, ...]:
    """The names of the 1000 ImageNet classes, synonyms separated by commas."""
    path = Path(__file__).parent / "data" / "imagenet_labels.json"
    return tuple(json.loads(path.read_text(encoding="utf-8")))


def decode_predictions(predictions: Any, top: int = 5) -> list[list[tuple[int, str, float]]]:
    """The likeliest ImageNet classes of each image, best first.

    `keras.applications` gives a WordNet id where this gives the class index, 0..999; the other two
    values are the same. The index is -1 for the background of a network with 1001 classes.

    Args:
      predictions: probabilities or logits, [N, 1000] or [N, 1001].
      top: how many for each image.

    Returns:
      For each image a list of `(class index, name, prediction)`.

    Raises:
      UserError: another number of classes.
    """
    predictions = np.asarray(keras.ops.convert_to_numpy(predictions))
    labels = imagenet_labels()
    if predictions.ndim != 2 or predictions.shape[1] not in (len(labels), len(labels) + 1):
        raise UserError(f"predictions of ImageNet are [N, 1000 or 1001], not {predictions.shape}")
    offset = predictions.shape[1] - len(labels)
    names = ("background",)[:offset] + labels
    best = np.argsort(-predictions, axis=1, kind="stable")[:, :top]
    return [
        [(int(index) - offset, names[index], float(row[index])) for index in indices]
        for row, indices in zip(predictions, best, strict=True)
    ]
