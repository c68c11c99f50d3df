"""A whole model of Keras 2 as one of Keras 3, with equal outputs."""

from collections.abc import Mapping
from pathlib import Path

import keras

from efficientnet_tf.config import UserError
from efficientnet_tf.weights.keras2.graph import build_model
from efficientnet_tf.weights.keras2.model_file import read_model_file
from efficientnet_tf.weights.keras2.values import assign
from efficientnet_tf.weights.size_limit import check_size


def load_keras2_model(
    path: str | Path, layers: Mapping[str, keras.Layer] | None = None
) -> keras.Model:
    """The model in an `.h5` that Keras 2 wrote (`model.save`), an EfficientNet inside or not.

    Layers keep their names, settings, whether they are trainable, and how they are called
    (`training=False`). The optimizer's state is not read. Nothing in the file is executed.

    Args:
      path: the file.
      layers: what takes the place of a layer that has no translation (a `Lambda`, a class of one's
        own), by the name of that layer.

    Returns:
      A model of Keras' own layers, which `model.save("x.keras")` saves.

    Raises:
      UserError: not such a file; a layer without a translation, with what to do about it; weights
        that do not fit.
    """
    path, layers = Path(path), dict(layers or {})
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    file = read_model_file(path)
    try:
        model = build_model(file.config, layers, file.largest_side())
        check_size(model, file.num_bytes(), "the file")
        assign(model, file)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except Exception as error:  # of Keras, about settings that no version of it writes
        reason = (str(error).strip() or type(error).__name__).split("\n")[0]
        raise UserError(f"{path}: not a model that can be rebuilt ({reason})") from None
    return model
