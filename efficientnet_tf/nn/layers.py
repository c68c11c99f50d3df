"""The layers MBConv blocks are made of, named as the TF1 checkpoints name them.

Sublayers carry the original's scope names (`conv2d`, `tpu_batch_normalization_1`, `se`), so the
path of every variable is its name in a checkpoint; `weights.naming` relies on it.
"""

from collections.abc import Callable

import keras
from keras import ops

from efficientnet_tf.nn.fake_quant import (
    QUANTIZED_CONVOLUTIONS,
    QuantizedActivation,
    build_ranges,
    quantized_sigmoid,
    range_layer,
)
from efficientnet_tf.nn.padding import CONVOLUTIONS
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


def activation_layer(name: str, quantized: bool, site: str) -> Callable:
    """An activation; in a network of fake quantisation a layer called after its `site`."""
    activation = keras.activations.get(name)
    return QuantizedActivation(name, name=f"{site}_activation") if quantized else activation


def said_if_quantized(quantized: bool) -> dict[str, bool]:
    """Of a layer's configuration; of other networks it is as before there were quantised ones."""
    return {"quantized": True} if quantized else {}


class StepSeedGenerator(keras.random.SeedGenerator):
    """Keras' seed generator; inside a `StepContext` the seed comes from the step instead.

    It is then a function of (run seed, layer name, step, replica): a resumed run draws the same
    numbers, and no two replicas do.
    """

    def __init__(self, layer_name: str, seed: int | None = None):
        super().__init__(seed, name=f"{layer_name}_seed")
        self.layer_name = layer_name

    def next(self, ordered: bool = True):
        """The next seed, an integer tensor [2]."""
        if step := current_step():
            return step.seed_for(self.layer_name)
        seed = super().next(ordered)
        if keras.backend.backend() != "tensorflow":
            return seed
        # Keras mirrors its seed state, which would give all replicas the same mask.
        from efficientnet_tf.nn import tensorflow_ops as kernels

        return seed + ops.stack([ops.cast(kernels.replica_id(), seed.dtype) * 7919, 0])


@register
class Dropout(keras.layers.Layer):
    """Drops single features, or with `per_example` the whole branch of an example.

    The second is stochastic depth (Huang et al. 2016), "drop connect" in the original. What is
    kept is divided by `1 - rate`. Identity outside of training.

    Args:
      rate: probability of dropping, 0 <= rate < 1.
      per_example: one draw for each example, input [N, H, W, C].
    """

    def __init__(self, rate: float, per_example: bool = False, seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        if not 0.0 <= rate < 1.0:
            raise ValueError(f"rate must be in [0, 1), got {rate}")
        self.rate, self.per_example, self.seed = rate, per_example, seed
        self.seed_generator = StepSeedGenerator(self.name, seed)
        self.built = True

    def call(self, inputs, training=None):
        if not is_training(training) or not self.rate:
            return inputs
        noise_shape = (None,) + (1,) * (len(inputs.shape) - 1) if self.per_example else None
        return keras.random.dropout(inputs, self.rate, noise_shape, seed=self.seed_generator)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        config = {"rate": self.rate, "per_example": self.per_example, "seed": self.seed}
        return {**super().get_config(), **config}


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


def activated(activation: Callable, x):
    """`activation(x)`, where a step asks for it by an op that is faster to train."""
    step = current_step()
    if step and step.compiled_swish and activation is keras.activations.silu:
        from efficientnet_tf.nn import tensorflow_ops as kernels

        return kernels.swish(x)
    return activation(x)


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
