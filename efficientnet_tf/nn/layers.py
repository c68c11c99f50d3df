"""The layers MBConv blocks are made of, named as the TF1 checkpoints name them.

Sublayers carry the original's scope names (`conv2d`, `tpu_batch_normalization_1`, `se`), so the
path of every variable is its name in a checkpoint; `weights.naming` relies on it.
"""

import keras
from keras import ops

from efficientnet_tf.nn.activation import activated, activation_layer
from efficientnet_tf.nn.convolutions import CONVOLUTIONS
from efficientnet_tf.nn.fake_quant import QUANTIZED_CONVOLUTIONS, build_ranges
from efficientnet_tf.nn.step_context import current_step, is_training

# Explicit, so that a saved network loads whatever `image_data_format` Keras is set to.
_LAYOUT = {"padding": "same", "data_format": "channels_last"}

register = keras.saving.register_keras_serializable(package="efficientnet_tf")


def conv_initializer() -> keras.initializers.Initializer:
    """Normal with variance 2 / fan_out, as the original's.

    A depthwise kernel's fan_out counts its last axis, the channel multiplier 1, as Keras does too.
    A new object each time: one that is shared would give all kernels of a shape the same values.
    """
    return keras.initializers.VarianceScaling(
        2.0, mode="fan_out", distribution="untruncated_normal"
    )


def dense_initializer() -> keras.initializers.Initializer:
    """Uniform in +-1 / sqrt(classes), which is a variance of 1 / (3 * fan_out)."""
    return keras.initializers.VarianceScaling(1 / 3, mode="fan_out", distribution="uniform")


def conv2d(
    filters: int,
    kernel_size: int,
    name: str,
    padding: str = "same",
    quantized: bool = False,
    **kwargs: object,
) -> keras.layers.Conv2D:
    """A convolution, without bias by default, initialised as the original does."""
    convolution, _ = (QUANTIZED_CONVOLUTIONS if quantized else CONVOLUTIONS)[padding]
    kwargs = {**_LAYOUT, "use_bias": False, "kernel_initializer": conv_initializer(), **kwargs}
    return convolution(filters, kernel_size, name=name, **kwargs)


def depthwise_conv2d(
    kernel_size: int,
    strides: int,
    name: str,
    padding: str = "same",
    use_bias: bool = False,
    quantized: bool = False,
) -> keras.layers.DepthwiseConv2D:
    """A depthwise convolution, initialised as the original does."""
    _, convolution = (QUANTIZED_CONVOLUTIONS if quantized else CONVOLUTIONS)[padding]
    kwargs = {**_LAYOUT, "use_bias": use_bias, "depthwise_initializer": conv_initializer()}
    return convolution(kernel_size, strides, name=name, **kwargs)


@register
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras' batch norm on TensorFlow's fused kernel, or by plain moments where a step asks.

    Input and output [N, H, W, C]. The moving variance is the population variance, as in the
    original. The kernel takes float32, float16 and bfloat16, with parameters and statistics in
    float32; on other backends and in float64 this is Keras' own layer.
    """

    def call(self, inputs, training=None, mask=None):
        step = current_step()
        plain = step is not None and (step.plain_moments or step.batch_norm_replicas > 1)
        dtype = keras.backend.result_type(inputs.dtype, "float32")
        if keras.backend.backend() != "tensorflow" or (dtype == "float64" and not plain):
            return super().call(inputs, training=training, mask=mask)
        from efficientnet_tf.nn import tensorflow_ops as kernels

        gamma, beta, mean, variance = (
            ops.cast(variable, dtype)
            for variable in (self.gamma, self.beta, self.moving_mean, self.moving_variance)
        )
        if not (is_training(training) and self.trainable):
            return kernels.fused_batch_norm_inference(
                inputs, gamma, beta, mean, variance, self.epsilon
            )
        if plain:
            y, *moments = kernels.plain_batch_norm_training(
                inputs, gamma, beta, self.epsilon, step.batch_norm_replicas
            )
        else:
            y, *moments = kernels.fused_batch_norm_training(inputs, gamma, beta, self.epsilon)
        if step and step.recomputing:
            return y
        self.moving_mean.assign(mean * self.momentum + moments[0] * (1.0 - self.momentum))
        self.moving_variance.assign(variance * self.momentum + moments[1] * (1.0 - self.momentum))
        return y


def normalization(batch_norm: dict | None, name: str) -> keras.layers.Layer:
    """Batch norm, or nothing where it is folded into the convolution before it.

    Args:
      batch_norm: keyword arguments of `BatchNormalization`; None for a folded one.
    """
    if batch_norm is None:
        return keras.layers.Identity(name=name)
    return BatchNormalization(name=name, **batch_norm)


def said_if_quantized(quantized: bool) -> dict[str, bool]:
    """Of a layer's configuration; of other networks it is as before there were quantised ones."""
    return {"quantized": True} if quantized else {}


def propagate_freezing(layer: keras.layers.Layer) -> None:
    """Freezes the layers inside a layer that was created frozen, as a loaded one is.

    Without it they would train no weights, but their batch norm would update its statistics.
    """
    if not layer.trainable:
        for inner in layer._flatten_layers(include_self=False):
            inner.trainable = False


@register
class ConvBatchNorm(keras.layers.Layer):
    """Convolution -> batch norm -> activation: stem, head and space-to-depth.

    `training` reaches the batch norm through Keras' call context.

    Args:
      batch_norm: keyword arguments of `BatchNormalization` (momentum, epsilon), None if it is
        folded into the convolution, which then has a bias.
      padding: `same` or `symmetric`.
      quantized: compute as an int8 network does, see `fake_quant`; with a folded batch norm.
    """

    def __init__(
        self,
        filters,
        kernel_size,
        strides,
        activation,
        batch_norm: dict | None,
        padding="same",
        quantized=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.settings = {
            "filters": filters,
            "kernel_size": kernel_size,
            "strides": strides,
            "activation": activation,
            "batch_norm": batch_norm and dict(batch_norm),
            "padding": padding,
        }
        self.quantized = quantized
        self.conv = conv2d(
            filters,
            kernel_size,
            "conv2d",
            padding,
            quantized,
            strides=strides,
            use_bias=batch_norm is None,
        )
        self.batch_norm = normalization(batch_norm, "tpu_batch_normalization")
        self.activation = activation_layer(activation, quantized, "output")

    @property
    def batch_norm_settings(self) -> dict | None:
        """Keyword arguments of the batch norm, None if it is folded."""
        return self.settings["batch_norm"]

    def normalized(self) -> list[tuple[keras.layers.Layer, keras.layers.Layer]]:
        """The convolution with the batch norm of its output, as a block has several.

        No property: in those Keras looks for layers to save, and would find these twice.
        """
        return [(self.conv, self.batch_norm)]

    def build(self, input_shape):
        propagate_freezing(self)
        self.conv.build(input_shape)
        self.batch_norm.build((None, None, None, self.settings["filters"]))
        build_ranges(self)

    def call(self, inputs):
        return activated(self.activation, self.batch_norm(self.conv(inputs)))

    def compute_output_shape(self, input_shape):
        return self.conv.compute_output_shape(input_shape)

    def get_config(self):
        return {**super().get_config(), **self.settings, **said_if_quantized(self.quantized)}
