"""Conditionally parameterised convolution (Yang et al. 2019, arXiv 1904.04971).

The kernel of an example is the sum of the experts' kernels, weighted by its routing weights
[N, experts]. A batch is computed at once: a 1 x 1 convolution as a batched matrix product, a
depthwise one with the examples side by side as channels, which it does not mix.
"""

import math

import keras
from keras import ops

from efficientnet_tf.nn.convolutions import depthwise_conv, pad
from efficientnet_tf.nn.layers import conv_initializer, register


class _Experts(keras.layers.Layer):
    """Kernels of one shape, flattened to [experts, kernel size] as the checkpoints hold them.

    All experts share a bias, if there is one.
    """

    kernel_name = "condconv_kernel"
    channel_axis = -1  # of the output's channels in an expert's kernel

    def __init__(self, num_experts: int, use_bias: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.num_experts, self.use_bias = num_experts, use_bias

    def kernel_shape(self, channels: int) -> tuple[int, ...]:
        """Shape of one expert's kernel for an input of `channels` channels."""
        raise NotImplementedError

    def build(self, input_shape):
        self.expert_shape = self.kernel_shape(input_shape[-1])
        self.kernel = self.add_weight(
            shape=(self.num_experts, math.prod(self.expert_shape)),
            initializer=self._initialize,
            name=self.kernel_name,
        )
        if self.use_bias:
            channels = self.expert_shape[self.channel_axis]
            self.bias = self.add_weight(shape=(channels,), initializer="zeros", name="bias")

    def _initialize(self, shape, dtype=None):
        """Initial values: each expert's are those of an ordinary convolution."""
        experts = [conv_initializer()(self.expert_shape, dtype) for _ in range(shape[0])]
        return ops.reshape(ops.stack(experts), shape)

    def mix(self, routing):
        """Kernels [N, *kernel shape] for routing weights [N, experts]."""
        return ops.reshape(ops.matmul(routing, self.kernel), (-1, *self.expert_shape))

    def with_bias(self, outputs):
        """`outputs` [N, H, W, C] and the bias, if there is one."""
        return outputs + self.bias if self.use_bias else outputs

    def get_config(self):
        config = {"num_experts": self.num_experts, "use_bias": self.use_bias}
        return {**super().get_config(), **config}


@register
class CondConv2D(_Experts):
    """A 1 x 1 convolution, [N, H, W, C] and routing [N, experts] to [N, H, W, filters]."""

    def __init__(self, filters: int, num_experts: int, **kwargs):
        super().__init__(num_experts, **kwargs)
        self.filters = filters

    def kernel_shape(self, channels):
        return (channels, self.filters)

    def call(self, inputs, routing):
        height, width, channels = ops.shape(inputs)[1:]
        x = ops.matmul(ops.reshape(inputs, (-1, height * width, channels)), self.mix(routing))
        return self.with_bias(ops.reshape(x, (-1, height, width, self.filters)))

    def compute_output_shape(self, inputs_shape, routing_shape):
        return (*inputs_shape[:-1], self.filters)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}


@register
class DepthwiseCondConv2D(_Experts):
    """A depthwise convolution, [N, H, W, C] and routing [N, experts] to [N, H', W', C]."""

    kernel_name = "depthwise_condconv_kernel"
    channel_axis = -2

    def __init__(
        self, kernel_size: int, strides: int, num_experts: int, padding: str = "same", **kwargs
    ):
        super().__init__(num_experts, **kwargs)
        self.kernel_size, self.strides, self.padding = kernel_size, strides, padding

    def kernel_shape(self, channels):
        return (self.kernel_size, self.kernel_size, channels, 1)

    def call(self, inputs, routing):
        inputs, padding = pad(inputs, self.kernel_size, self.padding)
        _, height, width, channels = ops.shape(inputs)
        x = ops.reshape(ops.transpose(inputs, (1, 2, 0, 3)), (1, height, width, -1))
        kernel = ops.squeeze(ops.transpose(self.mix(routing), (1, 2, 0, 3, 4)), -1)
        kernel = ops.reshape(kernel, (self.kernel_size, self.kernel_size, -1, 1))
        x = depthwise_conv(x, kernel, self.strides, padding)
        x = ops.reshape(x, (*ops.shape(x)[1:3], -1, channels))
        return self.with_bias(ops.transpose(x, (2, 0, 1, 3)))

    def compute_output_shape(self, inputs_shape, routing_shape):
        n, height, width, channels = inputs_shape
        sides = (side and -(-side // self.strides) for side in (height, width))
        return (n, *sides, channels)

    def get_config(self):
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
        }
