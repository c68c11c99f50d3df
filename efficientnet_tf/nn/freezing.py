"""Which parts of a network are not trained."""

import re

import keras

from efficientnet_tf.config import UserError
from efficientnet_tf.nn.block import Block
from efficientnet_tf.nn.layers import BatchNormalization, ConvBatchNorm
from efficientnet_tf.nn.network import network_blocks


def freeze(model: keras.Model, what: str | None) -> None:
    """Takes weights out of `model.trainable_weights`; their batch norm runs on moving statistics.

    What is frozen already stays so: to freeze less, call it with None first. A compiled model
    must be compiled again.

    Args:
      what: `all` but the classifier; `stem`; `blocks<=N`: the stem and blocks 0 .. N; None or
        `none` trains everything again, what `freeze_batch_norm` froze as well.

    Raises:
      UserError: any other `what`, or a block that does not exist.
    """
    if what in (None, "none"):
        # One by one: Keras ignores `model.trainable = True` where the model's own is True.
        for layer in model._flatten_layers():
            layer.trainable = True
        return _set_batch_norm(model, trainable=True)
    blocks = network_blocks(model)
    frozen = [layer for layer in model.layers if layer.name == "stem"]
    match = re.fullmatch(r"blocks<=(\d+)", what)
    if what == "all":
        frozen += blocks + [layer for layer in model.layers if layer.name == "head"]
    elif match and int(match[1]) < len(blocks):
        frozen += blocks[: int(match[1]) + 1]
    elif what != "stem":
        last = len(blocks) - 1
        raise UserError(f"freeze={what!r}: use all, stem or blocks<=N with N in 0..{last}, or none")
    for layer in frozen:
        layer.trainable = False


def freeze_batch_norm(model: keras.Model) -> None:
    """Every batch norm runs on its moving statistics and trains nothing, also after loading.

    For fine-tuning on few images or in small batches, whose statistics are worse than those of the
    pre-training.
    """
    _set_batch_norm(model, trainable=False)


def _set_batch_norm(model: keras.Model, trainable: bool) -> None:
    """Sets `trainable` of every batch norm, and in the settings that a saved model is built from.

    Keras saves a layer's own `trainable` only, not those of the layers inside it.
    """
    for layer in model._flatten_layers():
        if isinstance(layer, BatchNormalization):
            layer.trainable = trainable
        elif isinstance(layer, (Block, ConvBatchNorm)) and layer.batch_norm_settings is not None:
            layer.batch_norm_settings["trainable"] = trainable
