"""What a Keras model of this package is made of, read off its layers."""

import keras

from efficientnet_tf.arch.structure import Structure, stages_of
from efficientnet_tf.config import UserError
from efficientnet_tf.nn.network import network_blocks


def model_structure(model: keras.Model) -> Structure:
    """The numbers that the model was built with.

    Raises:
      UserError: no network of this package, a folded one, or one without a fixed image size.
    """
    layers = {layer.name: layer for layer in model.layers}
    blocks = network_blocks(model)
    if not blocks or not {"stem", "head"} <= set(layers):
        raise UserError(f"{model.name} is not a network of this package")
    if any(block.is_folded for block in blocks):
        raise UserError(
            f"batch norm is folded into {model.name}: pass the model it was folded from"
        )
    shape = model.input_shape[1:]
    if None in shape:
        raise UserError(
            f"{model.name} takes images of any size: build it with input_shape=(height, width, 3)"
        )
    plans = tuple(block.plan for block in blocks)
    classifier = layers.get("predictions")
    return Structure(
        model.name,
        layers["stem"].output.shape[-1],
        layers["head"].output.shape[-1],
        plans,
        stages_of(plans),
        classifier.units if classifier else None,
        shape,
    )
