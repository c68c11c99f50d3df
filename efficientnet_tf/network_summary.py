"""`en.summary`: the table of a network's stages, of a variant, a configuration or a Keras model."""

import typing
from pathlib import Path

from efficientnet_tf.arch.structure import Structure, structure
from efficientnet_tf.arch.summary import rows_text, stage_rows
from efficientnet_tf.arch.variants import model_config
from efficientnet_tf.config import ModelConfig, UserError
from efficientnet_tf.csv_text import records_text

if typing.TYPE_CHECKING:
    import keras  # a name needs no Keras, and Keras takes seconds


def summary(
    model: "keras.Model | ModelConfig | str",
    csv: "str | Path | None" = None,
    **overrides: object,
) -> str:
    """A network's stages and what they cost for one image.

        print(en.summary("efficientnet-b0", width_coefficient=1.1))
        en.summary(model, csv="stages.csv")

    Multiply-adds are those of convolutions and dense layers, which papers often call FLOPs; FLOPs
    are two for each. Peak memory is what inference holds for one image at once in float32, the
    weights apart; see `arch.summary.StageRow` for every column.

    Args:
      model: the name of a variant, a `ModelConfig`, or a network of this package.
      csv: a file that the table is written to, with all its columns.
      **overrides: fields of `ModelConfig`, for a name or a configuration.

    Returns:
      Lines of text.

    Raises:
      UserError: unknown name or override, or a model that is none of this package.
    """
    network = _structure(model, overrides)
    rows = stage_rows(network)
    if csv is not None:
        Path(csv).write_text(records_text(rows), encoding="utf-8")
    height, width, _ = network.image_shape
    return f"{network.name}, {height} x {width} pixels\n\n{rows_text(rows)}"


def _structure(model: object, overrides: dict[str, object]) -> Structure:
    if isinstance(model, str):
        return structure(model_config(model, **overrides))
    if isinstance(model, ModelConfig):
        return structure(model.replace(**overrides))
    if overrides:
        raise UserError(f"{', '.join(overrides)}: a model that is built cannot be another one")
    from efficientnet_tf.nn.structure import model_structure

    return model_structure(model)
