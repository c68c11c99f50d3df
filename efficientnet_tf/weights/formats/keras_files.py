"""Keras' own files: `.keras`, `.weights.h5` and the older `.h5`, of our networks and of others."""

import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import keras
import numpy as np

from efficientnet_tf.config import UserError
from efficientnet_tf.weights.assignment import Weights, classifier_width, collect
from efficientnet_tf.weights.description import KEY, Description
from efficientnet_tf.weights.formats import hdf5, keras_applications
from efficientnet_tf.weights.naming import checkpoint_variables, layer_roles
from efficientnet_tf.weights.opened import OpenedWeights, model_settings, variant_called
from efficientnet_tf.weights.size_limit import check_growth, check_size

# How Keras calls the stem, or head, of our networks in a `.weights.h5`.
_OURS = re.compile(r"(?:.*/)?layers/conv_batch_norm/.*")
_OUR_CLASSIFIER = re.compile(r"(?:.*/)?layers/(?:quantized_)?dense/vars/1")
_OF_A_MODEL = "model_weights/"  # where an `.h5` has the weights beside an optimizer's state
_WEIGHTS = "model.weights.h5"  # in a `.keras` archive
_MAX_DESCRIPTION_BYTES = 16 << 20  # the names of 21,843 classes are less than one megabyte


def open_keras(path: Path, safe_mode: bool = True) -> OpenedWeights:
    """A `.keras` file: a network of ours, or of `keras.applications`, with its weights.

    One that `write_keras` wrote knows everything about its network. One that `model.save` wrote
    knows what the model does: its variant if that is its name, and its input size.

    Args:
      safe_mode: refuse a file that carries Python code, as Keras does by default.
    """
    try:
        _check_sizes(path)
        model = keras.saving.load_model(path, compile=False, safe_mode=safe_mode)
        description = _description_in_zip(path)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{path}: not a readable .keras file ({_first_line(error)})") from None
    if "stem/conv2d/kernel" not in checkpoint_variables(model):
        values = {v.path: keras.ops.convert_to_numpy(v) for v in model.weights}
        return _applications(path, values, lambda _: values)

    def read(_):
        return collect(model)

    classes = classifier_width(model)
    if description:
        return OpenedWeights.described(str(path), read, classes, description)
    needs, height = model_settings(model), model.input_shape[1]
    if height and height == model.input_shape[2]:
        needs["input_size"] = height
    return OpenedWeights(str(path), read, classes, needs, variant_called(model.name))


def write_keras(model: keras.Model, path: Path, description: Description) -> None:
    """A `.keras` file; the description is one more member of its archive, which Keras ignores."""
    model.save(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(KEY, description.to_json())


def _check_sizes(path: Path) -> None:
    """Refuses an archive, or arrays in it, that announce much more than the file's size."""
    with zipfile.ZipFile(path) as archive:
        check_growth(path, sum(member.file_size for member in archive.infolist()))
        if _WEIGHTS in archive.namelist():
            arrays, _ = hdf5.outline(path, io.BytesIO(archive.read(_WEIGHTS)))
            check_growth(path, sum(value.nbytes for value in arrays.values()))


def _description_in_zip(path: Path) -> Description | None:
    with zipfile.ZipFile(path) as archive:
        if KEY not in archive.namelist():
            return None
        if archive.getinfo(KEY).file_size > _MAX_DESCRIPTION_BYTES:
            raise UserError(f"{path}: its {KEY} is larger than any description")
        return Description.from_json(archive.read(KEY), f"{path}: {KEY}")


def open_h5(path: Path) -> OpenedWeights:
    """A `.weights.h5` or `.h5` file of a network of ours or of `keras.applications`."""
    outline, text = hdf5.outline(path)
    # A whole model of Keras 2 has its optimizer's moments beside, by the same names.
    is_whole = any(name.startswith(_OF_A_MODEL) for name in outline)
    under = _OF_A_MODEL if is_whole else ""
    outline = {name: value for name, value in outline.items() if name.startswith(under)}

    def values(model):
        check_size(model, sum(value.nbytes for value in outline.values()), str(path))
        return hdf5.read(path, under)

    if not any(_OURS.fullmatch(name) for name in outline):
        return _applications(path, outline, values)
    widths = [v.size for name, v in outline.items() if _OUR_CLASSIFIER.fullmatch(name)]
    classes = widths[0] if widths else None

    def read(model):
        return _by_attribute(values(model), model)

    if text is None:
        return OpenedWeights(str(path), read, classes)
    description = Description.from_json(text, f"{path}: {KEY}")
    return OpenedWeights.described(str(path), read, classes, description)


def write_h5(model: keras.Model, path: Path, description: Description) -> None:
    """A `.weights.h5` file; the description is one more string in it, which Keras ignores."""
    model.save_weights(path)
    with h5py.File(path, "a") as file:
        file[KEY] = description.to_json()


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]


def _applications(
    path: Path,
    outline: dict[str, np.ndarray],
    values: Callable[[keras.Model], dict[str, np.ndarray]],
) -> OpenedWeights:
    read = keras_applications.by_class_count
    if keras_applications.is_named(outline):
        read = keras_applications.by_layer_name
    elif not any("layers/depthwise_conv2d/" in name for name in outline):
        raise UserError(f"{path}: not the weights of an EfficientNet (no stem in it)")
    return OpenedWeights(
        str(path),
        lambda model: read(values(model), layer_roles(checkpoint_variables(model))),
        keras_applications.classifier_width(outline),
        keras_applications.normalization(outline, str(path)),
    )


def _by_attribute(values: dict[str, np.ndarray], model: keras.Model) -> Weights:
    """The weights of a `.weights.h5` of ours.

    Keras files a variable under the class of its layer, numbered, then the attributes that lead to
    it: `layers/mb_conv_block_3/se/reduce/vars/0`.
    """
    counts: dict[str, int] = {}
    layers = {}
    for layer in model.layers:
        kind = _snake_case(type(layer).__name__)
        number = counts[kind] = counts.get(kind, -1) + 1
        layers[f"{kind}_{number}" if number else kind] = layer
    names = {id(variable): name for name, variable in checkpoint_variables(model).items()}
    weights = {}
    for path, value in values.items():
        *_, tail = f"/{path}".rpartition("/layers/")
        top, *attributes = tail.split("/")
        owner, index = layers.get(top), attributes[-1] if attributes else ""
        for attribute in attributes[:-2]:
            owner = getattr(owner, attribute, None)
        own: dict[str, keras.Variable] = {}
        if isinstance(owner, keras.Layer):
            owner.save_own_variables(own)
        weights[names[id(own[index])] if index in own else tail] = value
    return weights


def _snake_case(name: str) -> str:
    """Keras' rule: `MBConvBlock` -> `mb_conv_block`, `Conv2D` -> `conv2d`."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
