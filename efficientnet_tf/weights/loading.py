"""Weights from wherever they are: one function for every format."""

import logging
import re
from pathlib import Path

import keras
import tensorflow as tf

from efficientnet_tf.arch.variants import model_config
from efficientnet_tf.config import UserError
from efficientnet_tf.weights.assignment import assign, classifier_width, drop_background
from efficientnet_tf.weights.formats import torch_files
from efficientnet_tf.weights.formats.keras_files import open_h5, open_keras
from efficientnet_tf.weights.formats.tf1_checkpoint import TF1Checkpoint
from efficientnet_tf.weights.opened import Source, check_settings
from efficientnet_tf.weights.published import download, table

_WORD = re.compile(r"[a-z0-9-]+")  # the name of a published set rather than a path

_log = logging.getLogger(__name__)


def load_weights(
    model: keras.Model,
    source: str | Path,
    ema: bool = True,
    *,
    model_name: str | None = None,
    safe_mode: bool = True,
) -> None:
    """Sets every weight of `model`, or none of them.

    Args:
      model: a network of this package. Without the top it takes a file's other weights; with
        ImageNet's 1000 classes it takes 1001 and drops the background, and says so.
      source: the name of a published set (`imagenet`, `baseline`, `autoaugment`, `randaugment`,
        `advprop`, `noisy-student`), downloaded on first use; a TF1 checkpoint (directory, prefix
        or `.index`), here or at a URL that TensorFlow reads (`gs://`); or a file here: `.keras`,
        `.weights.h5` or `.h5`, of our networks or of `keras.applications`; `.safetensors` or
        `.pth` of timm or torchvision.
      ema: take the moving averages of a training checkpoint, False for the raw weights.
      model_name: the variant a published set is for; the model's own name by default.
      safe_mode: refuse `.keras` files that carry Python code.

    Raises:
      UserError: no such set or file; not the weights of this network, with the first mismatches;
        another number of classes; a network built for another normalisation, padding or epsilon.
    """
    load_source(model, open_source(source, model_name or model.name, ema, safe_mode))


def load_source(model: keras.Model, opened: Source) -> None:
    """`load_weights` from what is already open."""
    check_settings(model, opened)
    held = opened.read(model)
    weights = drop_background(held, classifier_width(model))
    assign(model, weights, opened.where)
    if weights is not held:
        _log.warning("%s: the background class was dropped, labels shift by one", opened.where)


def open_source(
    source: str | Path, model_name: str, ema: bool = True, safe_mode: bool = True
) -> Source:
    """What `load_weights` reads: the format told by name and content, nothing assigned yet."""
    name, path = str(source), Path(source)
    if _WORD.fullmatch(name) and not any(map(tf.io.gfile.exists, (name, f"{name}.index"))):
        _check_variant(model_name, name)
        return _open_preset(table.resolve(model_name, name), ema)
    if "://" in name and path.suffix in {".keras", ".h5", ".hdf5", *torch_files.SUFFIXES}:
        raise UserError(f"{name}: files of this format must be local; download it first")
    if path.suffix == ".keras":
        return open_keras(_existing(path), safe_mode)
    if path.suffix in (".h5", ".hdf5"):
        return open_h5(_existing(path))
    if path.suffix in torch_files.SUFFIXES:
        return torch_files.open_torch(_existing(path), ema)
    return _open_tf1(name, ema)


def _check_variant(model_name: str, weights: str) -> None:
    """A model with a name of its own does not tell which published weights are for it."""
    try:
        model_config(model_name)
    except UserError as error:
        raise UserError(
            f"{error}. To load {weights!r} into a model with a name of its own, say which variant "
            "it is: model_name="
        ) from None


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    return path


def _open_tf1(path: str, ema: bool) -> Source:
    checkpoint = TF1Checkpoint(path)
    return Source(checkpoint.prefix, checkpoint.classes, lambda _: checkpoint.read_all(ema))


def _open_preset(preset: table.Preset, ema: bool) -> Source:
    """Not downloaded before it is read: a model it does not suit is told at once."""

    def read(_):
        return TF1Checkpoint(download.fetch(preset)).read_all(ema)

    where = f"{preset.model_name} {preset.weights}"
    return Source(where, preset.num_classes, read, preset.overrides)
