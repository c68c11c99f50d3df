"""Which part of a network training leaves alone."""

import re

import keras

from efficientnet_tf.config import UserError
from efficientnet_tf.nn.layers import BatchNormalization, ConvBatchNorm
from efficientnet_tf.nn.mbconv import Block
from efficientnet_tf.nn.network import network_blocks


def freeze(model: keras.Model, what: str) -> None:
    """Takes weights out of `model.trainable_weights`; their batch norm runs on moving statistics.

    Args:
      what: `all` but the classifier; `stem`; or `blocks<=N`: the stem and blocks 0 .. N.

    Raises:
      UserError: any other `what`, or a block that does not exist.
    """
    blocks = network_blocks(model)
    frozen = [layer for layer in model.layers if layer.name == "stem"]
    match = re.fullmatch(r"blocks<=(\d+)", what)
    if what == "all":
        frozen += blocks + [layer for layer in model.layers if layer.name == "head"]
    elif match and int(match[1]) < len(blocks):
        frozen += blocks[: int(match[1]) + 1]
    elif what != "stem":
        last = len(blocks) - 1
        raise UserError(f"freeze={what!r}: use all, stem or blocks<=N with N in 0..{last}")
    for layer in frozen:
        layer.trainable = False


def freeze_batch_norm(model: keras.Model) -> None:
    """Every batch norm runs on its moving statistics and trains nothing, also after loading.

    For fine-tuning on few pictures or in small batches, whose statistics are worse than those of
    the pre-training.
    """
    for layer in model._flatten_layers():
        if isinstance(layer, BatchNormalization):
            layer.trainable = False
        elif isinstance(layer, Block):
            layer.batch_norm_settings["trainable"] = False
        elif isinstance(layer, ConvBatchNorm):
            layer.settings["batch_norm"]["trainable"] = False
