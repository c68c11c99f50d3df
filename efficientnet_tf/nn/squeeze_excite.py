"""Squeeze-and-excitation, between the activation of a convolution and the projection."""

import keras
from keras import ops

from efficientnet_tf.nn.activation import activation_layer
from efficientnet_tf.nn.fake_quant import build_ranges, quantized_sigmoid, range_layer
from efficientnet_tf.nn.layers import conv2d, register, said_if_quantized


@register
class SqueezeExcite(keras.layers.Layer):
    """Channel attention (Hu et al. 2018): mean over H, W -> reduce -> expand -> sigmoid -> scale.

    Input and output [N, H, W, C].
    """

    def __init__(
        self,
        filters: int,
        reduced_filters: int,
        activation: str,
        quantized: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters, self.reduced_filters = filters, reduced_filters
        self.activation_name = keras.activations.serialize(keras.activations.get(activation))
        self.quantized = quantized
        self.activation = activation_layer(activation, quantized, "reduce")
        self.reduce = conv2d(reduced_filters, 1, "conv2d", quantized=quantized, use_bias=True)
        self.expand = conv2d(filters, 1, "conv2d_1", quantized=quantized, use_bias=True)
        self.gate = quantized_sigmoid if quantized else ops.sigmoid
        self.mean_range = range_layer("mean_range", quantized)
        self.gate_range = range_layer("gate_range", quantized)
        self.output_range = range_layer("output_range", quantized)

    def build(self, input_shape):
        self.reduce.build((None, 1, 1, self.filters))
        self.expand.build((None, 1, 1, self.reduced_filters))
        build_ranges(self)

    def call(self, inputs):
        x = self.mean_range(ops.mean(inputs, axis=(1, 2), keepdims=True))
        x = self.gate_range(self.expand(self.activation(self.reduce(x))))
        return self.output_range(self.gate(x) * inputs)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        config = {
            "filters": self.filters,
            "reduced_filters": self.reduced_filters,
            "activation": self.activation_name,
        }
        return {**super().get_config(), **config, **said_if_quantized(self.quantized)}
