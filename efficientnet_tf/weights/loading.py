"""Weights from wherever they are: one function for every format."""

import contextlib
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import keras
import tensorflow as tf

from efficientnet_tf.arch.variants import model_config
from efficientnet_tf.config import DEFAULT_MODEL, UserError
from efficientnet_tf.weights.assignment import (
    Weights,
    assign,
    classifier_width,
    drop_background,
)
from efficientnet_tf.weights.formats import torch_files
from efficientnet_tf.weights.formats.keras_files import open_h5, open_keras
from efficientnet_tf.weights.formats.run_checkpoint import (
    checkpoint_step,
    find_run,
    list_checkpoints,
    open_run,
)
from efficientnet_tf.weights.formats.tf1_checkpoint import TF1Checkpoint, open_tf1
from efficientnet_tf.weights.naming import checkpoint_variables
from efficientnet_tf.weights.opened import OpenedWeights, check_settings, variant_called
from efficientnet_tf.weights.published import download, table
from efficientnet_tf.weights.recognition import recognise
from efficientnet_tf.weights.stem import KERNEL, adapt_stem

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
        ImageNet's 1000 classes it takes 1001 and drops the background, and says so. For images
        that are not RGB the first convolution is adapted, and a warning says how.
      source: the name of a published set (`imagenet`, `baseline`, `autoaugment`, `randaugment`,
        `advprop`, `noisy-student`), downloaded on first use; a run's folder or checkpoint, or a TF1
        checkpoint (directory, prefix or `.index`), here or at a URL that TensorFlow reads
        (`gs://`); or a file here: `.keras`, `.weights.h5` or `.h5`, of our networks or of
        `keras.applications`; `.safetensors` or `.pth` of timm or torchvision.
      ema: take the moving averages of a training checkpoint, False for the raw weights.
      model_name: the variant a published set is for; the model's own name by default.
      safe_mode: refuse `.keras` files that carry Python code.

    Raises:
      UserError: no such set or file; not the weights of this network, with the first mismatches;
        another number of classes; a network built for another normalisation, padding or epsilon.
    """
    load_opened(model, open_weights(source, model_name or model.name, ema, safe_mode))


def load_opened(model: keras.Model, weights: OpenedWeights) -> None:
    """`load_weights` from what is already open."""
    held = read_for(model, weights)
    wanted = drop_background(held, classifier_width(model))
    with naming_the_variant(held, model.name):
        assign(model, wanted, weights.where)
    if wanted is not held:
        _log.warning("%s: the background class was dropped, labels shift by one", weights.where)


def read_for(model: keras.Model, weights: OpenedWeights) -> Weights:
    """The weights by name, for the image channels of a model; not yet checked against its shapes.

    Raises:
      UserError: the model was built for another normalisation, padding or epsilon.
    """
    check_settings(model, weights)
    held = weights.read(model)
    _check_kinds(model, held, weights.where)
    if KERNEL not in held:
        return held
    normalisation = {}
    if any(layer.name == "normalization" for layer in model.layers):
        known = model_config(variant_called(model.name) or DEFAULT_MODEL)
        names = ("mean_rgb", "stddev_rgb")
        normalisation = {name: weights.needs.get(name, getattr(known, name)) for name in names}
    adapted, what = adapt_stem(held, model.input_shape[-1], **normalisation)
    if what:
        _log.warning("%s: %s", weights.where, what)
    return adapted


def _check_kinds(model: keras.Model, weights: Weights, where: str) -> None:
    """Refuses arrays that are no weights: what goes on relies on their dtypes and dimensions.

    Whole or complex numbers would be taken over without a word, and predict nonsense.
    """
    variables = checkpoint_variables(model)
    for name, value in weights.items():
        if name in variables and not tf.as_dtype(value.dtype).is_floating:
            raise UserError(f"{where}: {name} holds {value.dtype}, not floating-point numbers")
        if name in variables and value.ndim != len(variables[name].shape):
            raise UserError(f"{where}: {name} has {value.ndim} dimensions, not those of weights")


@contextlib.contextmanager
def naming_the_variant(weights: Weights, model_name: str) -> Iterator[None]:
    """Inside, an error that lists what does not fit ends in the variant that the weights are of."""
    try:
        yield
    except UserError as error:
        variants = recognise({name: value.shape for name, value in weights.items()})
        if not variants or model_name in variants:
            raise
        raise UserError(f"{error}. These are weights of {' or '.join(variants[:3])}") from None


def open_weights(
    source: str | Path, model_name: str | None = None, ema: bool = True, safe_mode: bool = True
) -> OpenedWeights:
    """What `load_weights` reads: the format told by name and content, nothing read yet.

    Args:
      source, ema, safe_mode: as in `load_weights`.
      model_name: the variant that a published set is for; `DEFAULT_MODEL` if None.

    Raises:
      UserError: no such set or file, or nothing that can be read.
    """
    name, path = str(source), Path(source)
    if _WORD.fullmatch(name) and not any(map(tf.io.gfile.exists, (name, f"{name}.index"))):
        return _open_published(model_name or DEFAULT_MODEL, name, ema)
    if "://" in name and path.suffix in {".keras", ".h5", ".hdf5", *torch_files.SUFFIXES}:
        raise UserError(f"{name}: files of this format must be local; download it first")
    if path.suffix == ".keras":
        return open_keras(_existing(path), safe_mode)
    if path.suffix in (".h5", ".hdf5"):
        return open_h5(_existing(path))
    if path.suffix in torch_files.SUFFIXES:
        return torch_files.open_torch(_existing(path), ema)
    if run := find_run(name):
        _say_if_not_newest(run, name)
        return open_run(run, ema)
    return open_tf1(name, ema)


def _say_if_not_newest(prefix: str, folder: str) -> None:
    """A line where the best checkpoint of a run is taken and training went on after it."""
    newest = next(map(checkpoint_step, list_checkpoints(folder)), 0)
    if checkpoint_step(prefix) < newest:
        _log.warning("%s: its best checkpoint is taken, step %d of %d", folder,
                     checkpoint_step(prefix), newest)  # fmt: skip


def _open_published(model_name: str, name: str, ema: bool) -> OpenedWeights:
    """Not downloaded before it is read, so that a model it does not suit is told at once."""
    _check_variant(model_name, name)
    preset = table.resolve(model_name, name)
    return OpenedWeights(
        f"{preset.model_name} {preset.weights}",
        lambda model: TF1Checkpoint(download.fetch(preset)).read_all(ema, model),
        classes=preset.num_classes,
        needs=preset.overrides,
        model_name=preset.model_name,
        kind="ema",  # what the published accuracies are measured with
    )


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
