"""Batch norm as a part of the convolution before it, for networks that are not trained any more."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from efficientnet_tf.config import UserError
from efficientnet_tf.nn.block import Block
from efficientnet_tf.nn.condconv import CondConv2D, DepthwiseCondConv2D
from efficientnet_tf.nn.expansion import BlockWithExpansion
from efficientnet_tf.nn.fake_quant import FakeQuant, QuantizedActivation, unranged
from efficientnet_tf.nn.layers import BatchNormalization, ConvBatchNorm


def fold_batch_norm(model: keras.Model) -> keras.Model:
    """A copy of a model without the batch norm of this package's layers.

    Outside of training a batch norm multiplies each channel and adds to it: the factor goes into
    the kernel of the convolution before, the rest becomes its bias. The outputs are equal but for
    rounding. Everything else is copied as it is, also what stands around a network of this package.

    Args:
      model: functional or sequential, built; networks may be layers of it.

    Returns:
      A model with weights of its own. It can be saved as any other; it is not for training.

    Raises:
      UserError: a subclassed model, or one without input shape.
    """
    return folded_copy(model, folded_layer)


def folded_copy(model: keras.Model, copy: Callable[[Any], Any]) -> keras.Model:
    """`fold_batch_norm`, of layers that `copy` makes from the model's own."""
    if not model.built:
        raise UserError(f"{model.name} has no input shape yet; build it or call it first")
    try:
        folded = keras.models.clone_model(model, clone_function=copy, recursive=True)
    except ValueError as error:
        raise UserError(f"the batch norm of {model.name} cannot be folded: {error}") from None
    transfer_folded(model, folded)
    return folded


def folded_layer(layer: Any) -> Any:
    """A copy of a layer, without batch norm if it is this package's, with initial weights."""
    config = layer.get_config()
    if isinstance(layer, (Block, ConvBatchNorm)):
        config["batch_norm"] = None
    elif isinstance(layer, BlockWithExpansion):
        return BlockWithExpansion(folded_layer(layer.block), name=layer.name)
    return type(layer).from_config(config)


def transfer_folded(source: Any, target: Any) -> None:
    """Gives a copy by `fold_batch_norm` or `folded_copy` the weights that its original has now.

    Ranges of fake quantisation that one of them does not have are left out.

    Args:
      source: the model, or a layer of it.
      target: its copy.
    """
    if isinstance(source, BlockWithExpansion):
        return transfer_folded(source.block, target.block)
    if not isinstance(source, (keras.Model, Block, ConvBatchNorm)):
        variables, copies = source.weights, target.weights
        if len(variables) != len(copies):
            variables, copies = unranged(source), unranged(target)
        for variable, copy in zip(variables, copies, strict=True):
            copy.assign(keras.ops.convert_to_numpy(variable))
        return None
    folded = []
    if not isinstance(source, keras.Model):
        for (conv, norm), (copy, _) in zip(source.normalized(), target.normalized(), strict=True):
            if isinstance(norm, BatchNormalization):  # none that is folded already
                copy.set_weights(_folded(conv, norm))
                folded += [conv.name, norm.name]
    layers, copies = (
        list(x._flatten_layers(include_self=False, recursive=False)) for x in (source, target)
    )
    if len(layers) != len(copies):
        layers, copies = (
            [layer for layer in some if not isinstance(layer, (FakeQuant, QuantizedActivation))]
            for some in (layers, copies)
        )
    for layer, copy in zip(layers, copies, strict=True):
        if layer.name not in folded:
            transfer_folded(layer, copy)


def _folded(conv: Any, norm: Any) -> list[np.ndarray]:
    """`[kernel, bias]` of a convolution together with the batch norm behind it."""
    gamma, beta, mean, variance = (
        np.asarray(keras.ops.convert_to_numpy(variable), np.float64)
        for variable in (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)
    )
    scale = gamma / np.sqrt(variance + norm.epsilon)
    kernel = np.asarray(keras.ops.convert_to_numpy(conv.kernel), np.float64)
    if isinstance(conv, (CondConv2D, DepthwiseCondConv2D)):
        axis, shape = conv.channel_axis, (conv.num_experts, *conv.expert_shape)
    else:
        axis = -2 if isinstance(conv, keras.layers.DepthwiseConv2D) else -1
        shape = kernel.shape
    factors = scale if axis == -1 else scale[:, None]
    scaled = (kernel.reshape(shape) * factors).reshape(kernel.shape)
    return [scaled, beta - mean * scale]
