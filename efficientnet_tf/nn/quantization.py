"""Networks that compute as their int8 export will, for training: quantisation-aware."""

from typing import Any

import keras

from efficientnet_tf.config import UserError
from efficientnet_tf.nn.block import Block
from efficientnet_tf.nn.fake_quant import (
    FakeQuant,
    QuantizedDense,
    QuantizedNormalization,
    QuantizedPooling,
)
from efficientnet_tf.nn.folding import folded_copy, folded_layer
from efficientnet_tf.nn.layers import ConvBatchNorm
from efficientnet_tf.nn.mbconv import CondMBConvBlock
from efficientnet_tf.nn.normalization import Normalization

_QUANTIZED = {
    Normalization: QuantizedNormalization,
    keras.layers.GlobalAveragePooling2D: QuantizedPooling,
    keras.layers.Dense: QuantizedDense,
}
_PLAIN = {quantized: plain for plain, quantized in _QUANTIZED.items()}


def quantize_aware(model: keras.Model) -> keras.Model:
    """A copy of a network for quantisation-aware training.

    Its batch norm is folded into the convolutions, and weights and activations are rounded as an
    int8 network rounds them (`fake_quant`). The ranges of the activations are learned: train it,
    by `compile` and `fit` or `--quantize_aware`, for an epoch at least, at a tenth of the rate of
    the training before. LiteRT's converter makes an int8 network of it without calibration.

    Args:
      model: a network of this package, trained, with its preprocessing inside.

    Returns:
      A model with weights of its own. It can be saved as any other.

    Raises:
      UserError: a network that has no int8 form: conditional convolutions, or without
        preprocessing; or one that computes in 16 bits.
    """
    layers = list(model._flatten_layers())
    if any(isinstance(layer, CondMBConvBlock) for layer in layers):
        raise UserError(f"{model.name}: conditional convolutions have no int8 form")
    if not any(isinstance(layer, Normalization) for layer in layers):
        raise UserError(f"{model.name}: quantisation begins at pixels; include_preprocessing=True")
    if types := {layer.compute_dtype for layer in layers} - {"float32"}:
        raise UserError(f"{model.name} computes in {', '.join(sorted(types))}: the ranges of int8 "
                        "are learned in float32")  # fmt: skip
    return folded_copy(model, _quantized)


def without_rounding(model: keras.Model) -> keras.Model:
    """A copy of a network of `quantize_aware` that computes in floating point."""
    return folded_copy(model, _plain)


def is_quantized(model: keras.Model) -> bool:
    """Whether `quantize_aware` has made it, or a layer of it."""
    return any(isinstance(layer, FakeQuant) for layer in model._flatten_layers())


def has_ranges(model: keras.Model) -> bool:
    """Whether all its ranges have been learned."""
    ranges = [layer for layer in model._flatten_layers() if isinstance(layer, FakeQuant)]
    return all(keras.ops.convert_to_numpy(r.high > r.low).all() for r in ranges)


def _quantized(layer: Any) -> Any:
    if type(layer) in _QUANTIZED:
        return _QUANTIZED[type(layer)].from_config(layer.get_config())
    if not isinstance(layer, (Block, ConvBatchNorm)):
        return folded_layer(layer)
    config = {**layer.get_config(), "batch_norm": None, "quantized": True}
    return type(layer).from_config(config)


def _plain(layer: Any) -> Any:
    config = layer.get_config()
    if type(layer) in _PLAIN:
        return _PLAIN[type(layer)].from_config(config)
    config.pop("quantized", None)
    return type(layer).from_config(config)
