"""The pictures of an export: to compare the formats on, and to calibrate those of whole numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from efficientnet_tf.config import UserError
from efficientnet_tf.exports.formats import Format
from efficientnet_tf.exports.measurement import BATCH
from efficientnet_tf.exports.network import ExportedNetwork
from efficientnet_tf.nn.quantization import is_quantized
from efficientnet_tf.train.progress import Progress

_NOISE = 16  # images to compare on where no pictures are given


@dataclass(frozen=True)
class Samples:
    """Pictures as the network takes them.

    Attributes:
      shown: to compare the formats on, float32 [N, S, S, 3] in 0..255.
      calibration: the same to calibrate with; None where no format needs them.
      notes: what was taken in place of pictures that were not given.
    """

    shown: np.ndarray
    calibration: np.ndarray | None
    notes: tuple[str, ...]


def export_samples(
    network: ExportedNetwork,
    rows: Sequence[Format],
    pictures: np.ndarray | None,
    labels: Sequence[int] | None,
    calibration: np.ndarray | None,
) -> Samples:
    """What stands for the pictures that `en.export` got, see there.

    Raises:
      UserError: pictures of another shape or range than the network's, labels that do not go with
        them, or none where a format must be calibrated.
    """
    notes = []
    shown = _images(pictures, network, "pictures")
    ranged = _images(calibration, network, "calibration")
    if not needs_calibration(network.original, rows):
        ranged = None
    elif ranged is None:
        ranged = shown
        if ranged is None:
            raise UserError(f"{', '.join(r.name for r in rows if r.is_quantized)}: pictures to "
                            "calibrate with are needed")  # fmt: skip
        notes.append("calibrated with the pictures that the formats are compared on")
    if shown is None:
        notes.append(f"compared on {_NOISE} images of noise, which says little of real pictures")
        shown = _noise(network.image_size)
    _check_labels(labels, len(shown), network)
    return Samples(shown, ranged, tuple(notes))


def needs_calibration(model: keras.Model, rows: Sequence[Format]) -> bool:
    """Whether a format takes the ranges of whole numbers from pictures."""
    return any(row.is_quantized for row in rows) and not is_quantized(model)


def probabilities(network: ExportedNetwork, images: np.ndarray, verbose: bool) -> np.ndarray:
    """The probabilities of the Keras model, float32 [N, C]."""
    infer = tf.function(lambda x: network.original(x, training=False), autograph=False)
    progress = Progress("keras", len(images), unit="image", enabled=verbose)
    parts = []
    for start in range(0, len(images), BATCH):
        parts.append(infer(images[start : start + BATCH]).numpy())
        progress.update(min(start + BATCH, len(images)))
    progress.close()
    expected = np.concatenate(parts)
    if not np.isfinite(expected).all():
        raise UserError(f"{network.model.name}: its own probabilities are no numbers; see its "
                        "weights")  # fmt: skip
    return expected


def _images(images: np.ndarray | None, network: ExportedNetwork, what: str) -> np.ndarray | None:
    if images is None:
        return None
    images = np.asarray(images, np.float32)
    size = network.image_size
    if images.shape[1:] != (size, size, 3):
        raise UserError(f"{what} of shape {images.shape}: {network.model.name} takes images "
                        f"[N, {size}, {size}, 3]")  # fmt: skip
    if not len(images):
        raise UserError(f"{what}: there are none")
    if not np.isfinite(images).all() or images.max() <= 1:
        raise UserError(f"{what} must be RGB in 0..255; these are {images.min()}..{images.max()}")
    return images


def _noise(size: int) -> np.ndarray:
    random = np.random.default_rng(0)
    coarse = random.uniform(0, 255, (_NOISE, 8, 8, 3)).astype(np.float32)
    return tf.image.resize(coarse, (size, size), "bicubic").numpy().clip(0, 255)


def _check_labels(labels: Sequence[int] | None, count: int, network: ExportedNetwork) -> None:
    if labels is None:
        return
    classes = len(network.label_names)
    if len(labels) != count:
        raise UserError(f"{len(labels)} labels for {count} pictures")
    if wrong := [label for label in labels if not 0 <= label < classes]:
        raise UserError(f"label {wrong[0]} is none of the {classes} classes, 0 to {classes - 1}")
