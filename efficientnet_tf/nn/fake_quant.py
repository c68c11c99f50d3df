"""Numbers rounded as an int8 network rounds them, so that training learns to live with it.

As LiteRT's int8 (Jacob et al. 2018, https://arxiv.org/abs/1712.05877): weights symmetric and for
each output channel, from the largest of them; activations in one range for a tensor, which contains
zero and is learned by moving average. All of it by TensorFlow's FakeQuant ops, which LiteRT's
converter folds into int8 ops.
"""

from collections.abc import Callable

import keras
from keras import ops

from efficientnet_tf.nn.convolutions import SymmetricConv2D, SymmetricDepthwiseConv2D
from efficientnet_tf.nn.normalization import Normalization
from efficientnet_tf.nn.step_context import current_step, is_training

fake_quant = keras.quantizers.fake_quant_with_min_max_vars
register = keras.saving.register_keras_serializable(package="efficientnet_tf")

_MOMENTUM = 0.99  # of the moving ranges
# Ranges of values that are all nearly zero. The bias of a convolution is an int32 in steps of its
# input's step times its kernel's: smaller ones would leave it no room.
_SMALLEST_RANGE, _SMALLEST_KERNEL = 1e-2, 1e-3
_SIGMOID_RANGE = (0.0, 255 / 256)  # what LiteRT's op gives out, whatever its input
_MERGED = {"relu", "relu6", "linear"}  # computed with the convolution before, rounded once


@register
class FakeQuant(keras.layers.Layer):
    """Rounds activations to 256 values of a range that it learns.

    In training the range moves towards that of each batch; the first batch sets it. Until then
    values pass as they are. Of vectors it is from the lowest to the highest value; of feature maps
    the mean over the examples of each one's lowest and highest, as the extremes of a batch of maps
    leave the usual values a handful of the 256. Input and output [N, ...], float32.
    """

    def build(self, input_shape):
        options = {"shape": (1,), "initializer": "zeros", "trainable": False, "autocast": False}
        self.low = self.add_weight(name="moving_minimum", **options)
        self.high = self.add_weight(name="moving_maximum", **options)

    def call(self, inputs, training=None):
        step = current_step()
        if is_training(training) and self.trainable and not (step and step.recomputing):
            self._move(ops.stop_gradient(inputs))
        rounded = fake_quant(inputs, self.low, ops.maximum(self.high, self.low + _SMALLEST_RANGE))
        return ops.where(self._is_known(), rounded, inputs)

    def _is_known(self):
        return self.high > self.low

    def _move(self, x):
        kept = ops.cast(self._is_known(), x.dtype) * _MOMENTUM
        is_map = len(x.shape) == 4 and x.shape[1] != 1
        inside = [1, 2, 3] if is_map else None
        low, high = (ops.mean(end(x, axis=inside)) for end in (ops.min, ops.max))
        low = ops.minimum(low, 0.0)
        high = ops.maximum(high, ops.maximum(low + _SMALLEST_RANGE, 0.0))
        for variable, seen in ((self.low, low), (self.high, high)):
            variable.assign(variable * kept + seen * (1.0 - kept))

    def compute_output_shape(self, input_shape):
        return input_shape


def range_layer(name: str, quantized: bool) -> Callable:
    """What rounds a tensor of a quantised network, and leaves that of others as it is."""
    return FakeQuant(name=name) if quantized else _as_it_is


def _as_it_is(x):
    return x


def build_ranges(layer: keras.Layer) -> None:
    """Creates the ranges right inside a layer, if it has any."""
    for inner in layer._flatten_layers(include_self=False, recursive=False):
        if isinstance(inner, (FakeQuant, QuantizedActivation)):
            inner.build(None)


def unranged(layer: keras.Layer) -> list[keras.Variable]:
    """The weights of a layer but for the ranges of its activations."""
    return [v for v in layer.weights if v.name not in ("moving_minimum", "moving_maximum")]


class QuantizedActivation(keras.layers.Layer):
    """An activation with its input and output rounded where LiteRT's ops round them.

    Swish is two ops there, a sigmoid of a fixed range and a product. ReLU is merged with the
    convolution before.

    Args:
      activation: name of a Keras activation.
    """

    def __init__(self, activation: str, **kwargs):
        super().__init__(**kwargs)
        self.activation = keras.activations.get(activation)
        self.is_swish = self.activation is keras.activations.silu
        self.before = range_layer("before", self.activation.__name__ not in _MERGED)
        self.after = FakeQuant(name="after")

    def build(self, input_shape):
        build_ranges(self)

    def call(self, inputs):
        x = self.before(inputs)
        return self.after(x * quantized_sigmoid(x) if self.is_swish else self.activation(x))

    def compute_output_shape(self, input_shape):
        return input_shape


def quantized_sigmoid(x):
    """The sigmoid as LiteRT's int8 op rounds it."""
    return fake_quant(ops.sigmoid(x), *_SIGMOID_RANGE)


class _RoundedKernel:
    """Lets a layer compute with its kernel rounded to 255 values for each output channel.

    The gradient of the rounded kernel is the kernel's.
    """

    channel_axis: int | None = -1  # None for one range of the whole kernel

    def call(self, inputs):
        kernel = ops.convert_to_tensor(self.kernel)
        axis = None if self.channel_axis is None else self.channel_axis % len(kernel.shape)
        others = [a for a in range(len(kernel.shape)) if a != axis]
        largest = ops.maximum(ops.max(ops.abs(kernel), axis=others), _SMALLEST_KERNEL)
        largest = ops.stop_gradient(largest)
        rounded = fake_quant(kernel, -largest, largest, narrow_range=True, axis=axis)
        with keras.StatelessScope(state_mapping=[(self.kernel, rounded)]):
            return super().call(inputs)


class QuantizedConv2D(_RoundedKernel, keras.layers.Conv2D):
    """`Conv2D` with a rounded kernel."""


class QuantizedSymmetricConv2D(_RoundedKernel, SymmetricConv2D):
    """`SymmetricConv2D` with a rounded kernel."""


class QuantizedDepthwiseConv2D(_RoundedKernel, keras.layers.DepthwiseConv2D):
    """`DepthwiseConv2D` with a rounded kernel."""

    channel_axis = -2


class QuantizedSymmetricDepthwiseConv2D(_RoundedKernel, SymmetricDepthwiseConv2D):
    """`SymmetricDepthwiseConv2D` with a rounded kernel."""

    channel_axis = -2


@register
class QuantizedDense(_RoundedKernel, keras.layers.Dense):
    """`Dense` with a rounded kernel, one range for all of it, and rounded outputs."""

    channel_axis = None

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.range = FakeQuant(name="range")

    def build(self, input_shape):
        super().build(input_shape)
        build_ranges(self)

    def call(self, inputs):
        return self.range(super().call(inputs))


@register
class QuantizedNormalization(Normalization):
    """`Normalization` of pixels in 0..255 in two rounded steps, difference and product."""

    def call(self, inputs):
        scale = [1.0 / value for value in self.stddev]
        low, high = -max(self.mean), 255.0 - min(self.mean)
        x = fake_quant(inputs, 0.0, 255.0) - _rounded_constant(self.mean)
        x = fake_quant(x, low, high) * _rounded_constant(scale)
        return fake_quant(x, low * max(scale), high * max(scale))


def _rounded_constant(values):
    """Positive numbers, [C], as the converter rounds them: in one range, for activations."""
    return fake_quant(ops.convert_to_tensor(values, "float32"), 0.0, max(values))


@register
class QuantizedPooling(keras.layers.GlobalAveragePooling2D):
    """The mean over pixels, rounded."""

    def build(self, input_shape):
        self.range = FakeQuant(name="range")
        build_ranges(self)

    def call(self, inputs):
        return self.range(super().call(inputs))


# padding of a `ModelConfig`: (convolution, depthwise convolution)
QUANTIZED_CONVOLUTIONS = {
    "same": (QuantizedConv2D, QuantizedDepthwiseConv2D),
    "symmetric": (QuantizedSymmetricConv2D, QuantizedSymmetricDepthwiseConv2D),
}
