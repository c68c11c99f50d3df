"""`--class_weights`: what each class weighs in the loss."""

import csv
import json
import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from efficientnet_tf.config import UserError, unknown_name
from efficientnet_tf.data import Source

_BALANCED = "balanced"


def class_weights(said: str, loss: str, source: Source, num_classes: int) -> np.ndarray:
    """The weights that `balanced` or a file gives, float64 [num_classes].

    A file is a JSON object from the names or numbers of classes to weights, or CSV lines
    `name,weight`. `balanced` follows from how often the classes are in the training pictures:
    with softmax pictures / (classes * count), as scikit-learn has it, so that all classes weigh the
    same; with sigmoid and focal, where it weighs labels that are 1, (pictures - count) / count, so
    that of each class the pictures with it weigh as much as those without.

    Args:
      loss: name of the objective.
      num_classes: of the network; a background class weighs 1.

    Raises:
      UserError: data whose classes nobody has counted; a file of another form, or that does not
        give each class a positive weight.
    """
    background = source.background(num_classes)
    names = source.label_names or [str(i) for i in range(num_classes - background)]
    weights = _balanced(loss, source, names) if said == _BALANCED else _from_file(said, names)
    return np.concatenate([np.ones(background), weights])


def in_words(weights: np.ndarray, source: Source) -> str:
    """The smallest and the largest weight and their classes."""
    names = source.label_names or range(len(weights))
    weights = weights[source.background(len(weights)) :]
    ends = (f"{weights[i]:.4g} ({names[i]})" for i in (weights.argmin(), weights.argmax()))
    return f"class weights: {' to '.join(ends)}"


def _balanced(loss: str, source: Source, names: Sequence[str]) -> np.ndarray:
    counted = source.train_class_counts()
    if counted is None:
        raise UserError(
            f"--class_weights=balanced: --dataset={source.name} does not say how many pictures a "
            'class has; name a JSON file {"class": weight, ...} instead'
        )
    counts, pictures = counted
    for name, count in zip(names, counts, strict=True):
        if count in (0, pictures):
            raise UserError(
                f"--class_weights=balanced: {count} of {pictures} training pictures are of class "
                f"{name!r}; name a file of weights instead"
            )
    return pictures / (len(counts) * counts) if loss == "softmax" else (pictures - counts) / counts


def _from_file(path: str, names: Sequence[str]) -> np.ndarray:
    where = f"--class_weights={path}"
    try:
        with tf.io.gfile.GFile(path) as file:
            pairs = _read_pairs(file.read())
    except tf.errors.OpError:
        raise UserError(f"{where} is neither a file that can be read nor {_BALANCED}") from None
    except (ValueError, TypeError):
        raise UserError(
            f'{where} is neither a JSON object {{"cat": 2.5, ...}} nor CSV lines cat,2.5'
        ) from None
    given = {name for name, _ in pairs}
    numbers = [str(i) for i in range(len(names))]
    known = numbers if given <= set(numbers) and not given <= set(names) else list(names)
    weights: dict[str, float] = {}
    for name, weight in pairs:
        if name not in known:
            raise UserError(f"{where}: {unknown_name('class', name, known)}")
        if name in weights:
            raise UserError(f"{where} has two weights for class {name!r}")
        if not (weight > 0 and math.isfinite(weight)):
            raise UserError(f"{where}: the weight of class {name!r} is {weight:g}, not positive")
        weights[name] = weight
    if missing := [name for name in known if name not in weights]:
        raise UserError(
            f"{where} has no weight for {len(missing)} of {len(known)} classes, "
            f"{missing[0]!r} for one"
        )
    return np.array([weights[name] for name in known])


def _read_pairs(text: str) -> list[tuple[str, float]]:
    """Names and weights; ValueError or TypeError for text of another form."""
    if text.lstrip().startswith("{"):
        pairs = json.loads(text, object_pairs_hook=list)
    else:
        pairs = [row for row in csv.reader(text.splitlines()) if row]
        if pairs and pairs[0][1:] == ["weight"]:
            del pairs[0]
    return [(name.strip(), float(weight)) for name, weight in pairs]
