"""Builds a functional `keras.Model` from a `ModelConfig`, and models of its inner tensors."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import keras

from efficientnet_tf.arch.scaling import block_plans, head_filters, stem_filters
from efficientnet_tf.config import MIN_IMAGE_SIZE, ModelConfig, UserError, unknown_name
from efficientnet_tf.nn.block import Block
from efficientnet_tf.nn.convolutions import CONVOLUTIONS
from efficientnet_tf.nn.dropout import Dropout
from efficientnet_tf.nn.expansion import BlockWithExpansion
from efficientnet_tf.nn.layers import ConvBatchNorm, dense_initializer
from efficientnet_tf.nn.mbconv import build_block
from efficientnet_tf.nn.normalization import Normalization, per_channel
from efficientnet_tf.nn.quantization import quantize_aware


def build_network(
    config: ModelConfig,
    *,
    include_top: bool = True,
    input_tensor: Any = None,
    input_shape: tuple[int | None, int | None, int] | None = None,
    pooling: str | None = None,
    classifier_activation: str | None = "softmax",
    include_preprocessing: bool = True,
    name: str | None = None,
) -> keras.Model:
    """The network as a functional model, freshly initialised as the original does.

    Args:
      config: what to build.
      include_top: end in the classifier; otherwise in the last 1x1 convolution (or `pooling`).
      input_tensor: a Keras tensor [N, H, W, C] to build on.
      input_shape: `(H, W, C)`, H and W at least 32 or None. The variant's own square by default,
        free height and width without the top. `C` may differ from 3.
      pooling: without the top, `avg` or `max` over H and W; None keeps [N, H/32, W/32, filters].
      classifier_activation: of the classifier; None for logits.
      include_preprocessing: the input is RGB in 0..255 and normalised inside; otherwise the
        caller feeds `(rgb - mean_rgb) / stddev_rgb`.

    Raises:
      UserError: a shape, padding or pooling that does not exist, or Keras set to `channels_first`.

    Returns:
      A model from [N, H, W, C] to [N, num_classes] (with the top), in float64 under that policy
      and in float32 under every other.
    """
    if keras.config.image_data_format() != "channels_last":
        raise UserError(
            "the networks take images [N, H, W, C] only: call "
            "keras.config.set_image_data_format('channels_last') before building one"
        )
    if config.padding not in CONVOLUTIONS:
        raise unknown_name("padding", config.padding, CONVOLUTIONS)
    if config.quantize_aware and input_tensor is not None:
        raise UserError("quantize_aware and input_tensor: build on the tensor, then quantize_aware")
    inputs = _image_input(config, include_top, input_tensor, input_shape)
    x = _normalization(config, inputs.shape[-1])(inputs) if include_preprocessing else inputs
    batch_norm = {"momentum": config.batch_norm_momentum, "epsilon": config.batch_norm_epsilon}
    conv_batch_norm = partial(ConvBatchNorm, activation=config.activation, batch_norm=batch_norm)
    x = conv_batch_norm(stem_filters(config), 3, 2, padding=config.padding, name="stem")(x)
    for index, plan in enumerate(block_plans(config)):
        x = build_block(plan, batch_norm, name=f"blocks_{index}")(x)
    x = conv_batch_norm(head_filters(config), 1, 1, name="head")(x)
    if include_top:
        x = _classifier(config, classifier_activation)(x)
    elif pooling:
        x = _pooling(pooling)(x)
    if input_tensor is not None:
        (inputs,) = keras.utils.get_source_inputs(input_tensor)
    model = keras.Model(inputs, x, name=name or config.name)
    return quantize_aware(model) if config.quantize_aware else model


def _image_input(config, include_top, input_tensor, input_shape):
    """The Keras tensor the network starts from."""
    if input_tensor is not None:
        return input_tensor
    size = config.input_size if include_top else None
    shape = tuple(input_shape or (size, size, 3))
    if len(shape) != 3 or shape[-1] is None:
        raise UserError(f"input_shape must be (height, width, channels), got {shape}")
    if any(side is not None and side < MIN_IMAGE_SIZE for side in shape[:2]):
        raise UserError(f"input_shape {shape}: height and width must be at least {MIN_IMAGE_SIZE}")
    return keras.Input(shape, name="image")


def _normalization(config, channels):
    """(x - mean) / stddev on 0..255, for any number of channels."""
    mean, stddev = (per_channel(rgb, channels) for rgb in (config.mean_rgb, config.stddev_rgb))
    return Normalization(mean, stddev, name="normalization")


def _pooling(kind):
    layers = {
        "avg": keras.layers.GlobalAveragePooling2D,
        "max": keras.layers.GlobalMaxPooling2D,
    }
    if kind not in layers:
        raise unknown_name("pooling", kind, layers)
    return layers[kind](name=f"{kind}_pool")


def _classifier(config, activation):
    """Average pooling -> dropout -> dense -> activation.

    The activation is a layer of its own, so that the logits of any saved model can be reached, and
    computes in float32 at least.
    """

    def classify(x):
        x = _pooling("avg")(x)
        x = Dropout(config.dropout_rate, name="top_dropout")(x)
        x = keras.layers.Dense(
            config.num_classes, kernel_initializer=dense_initializer(), name="predictions"
        )(x)
        dtype = keras.backend.result_type(x.dtype, "float32")
        return keras.layers.Activation(activation or "linear", dtype=dtype, name="output")(x)

    return classify


def network_blocks(model: keras.Model) -> list[Block]:
    """The model's blocks in order, also those inside a `BlockWithExpansion`."""
    layers = (getattr(layer, "block", layer) for layer in model.layers)
    return [layer for layer in layers if isinstance(layer, Block)]


# (layer, endpoint that its output is) after the blocks, in the order of the forward pass.
_TOP = (
    ("head", "head_1x1"),
    ("avg_pool", "pooled_features"),
    ("top_dropout", None),
    ("predictions", "logits"),
)


def endpoint_names(model: keras.Model) -> list[str]:
    """The names that `feature_extractor` takes for this model, the original's.

    `stem`, `block_i`, `block_i/expansion_output` (the tensor entering the projection),
    `reduction_1` .. `reduction_5` (the last output of each resolution, H / 2 .. H / 32),
    `features` (the last block's output), and where the model has them `head_1x1`,
    `pooled_features`, `logits`.
    """
    blocks = network_blocks(model)
    layers = {layer.name for layer in model.layers}
    names = ["stem"]
    for index in range(len(blocks)):
        names += [f"block_{index}", f"block_{index}/expansion_output"]
    names += [f"reduction_{number}" for number in _reductions(blocks)]
    return names + ["features"] + [name for layer, name in _TOP if name and layer in layers]


def _reductions(blocks):
    """{number of the reduction: the last endpoint of that resolution}."""
    halving = [index for index, block in enumerate(blocks) if block.plan.downsampling > 1]
    last = [f"block_{index - 1}" if index else "stem" for index in [*halving, len(blocks)]]
    return dict(enumerate(last, start=1))


def feature_extractor(model: keras.Model, names: Sequence[str]) -> keras.Model:
    """A model from the same image to a dictionary of the endpoints `names`, sharing the weights.

    Raises:
      UserError: a name that is no endpoint of this model.
    """
    known = endpoint_names(model)
    for name in names:
        if name not in known:
            raise unknown_name("endpoint", name, known)
    layers = {layer.name: layer for layer in model.layers}
    tensors = {"stem": layers["stem"].output}
    x = tensors["stem"]
    blocks = network_blocks(model)
    for index, block in enumerate(blocks):
        expansion = f"block_{index}/expansion_output"
        if expansion in names:
            x, tensors[expansion] = BlockWithExpansion(block)(x)
        else:
            x = block(x)
        tensors[f"block_{index}"] = x
    for number, name in _reductions(blocks).items():
        tensors[f"reduction_{number}"] = tensors[name]
    tensors["features"] = x
    for layer, name in _TOP:
        if layer in layers:
            x = tensors[name] = layers[layer](x)
    outputs = {name: tensors[name] for name in names}
    return keras.Model(model.input, outputs, name=f"{model.name}-features")
