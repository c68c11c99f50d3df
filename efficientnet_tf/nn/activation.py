"""The activation after a convolution, in the form that is fastest for what is traced."""

from collections.abc import Callable

import keras

from efficientnet_tf.nn.fake_quant import QuantizedActivation
from efficientnet_tf.nn.step_context import current_step


def activation_layer(name: str, quantized: bool, site: str) -> Callable:
    """An activation; in a network of fake quantisation a layer called after its `site`."""
    activation = keras.activations.get(name)
    return QuantizedActivation(name, name=f"{site}_activation") if quantized else activation


def activated(activation: Callable, x):
    """`activation(x)`, where a step asks for it by an op that is faster to train."""
    step = current_step()
    if step and step.compiled_swish and activation is keras.activations.silu:
        from efficientnet_tf.nn import cpu_gradients

        return cpu_gradients.swish(x)
    return activation(x)
