"""Conditional convolution in one computation, against one convolution for each example."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from efficientnet_tf.nn.condconv import CondConv2D, DepthwiseCondConv2D

EXPERTS, CHANNELS = 3, 6


def one_by_one(layer, inputs, routing):
    """Each example convolved on its own with TensorFlow's plain convolutions."""
    outputs = []
    for index in range(inputs.shape[0]):
        kernel = tf.tensordot(routing[index], layer.kernel.value, 1)
        x = inputs[index : index + 1]
        if isinstance(layer, CondConv2D):
            kernel = tf.reshape(kernel, (1, 1, CHANNELS, layer.filters))
            outputs.append(tf.nn.conv2d(x, kernel, 1, "SAME"))
        else:
            kernel = tf.reshape(kernel, (layer.kernel_size, layer.kernel_size, CHANNELS, 1))
            strides = (1, layer.strides, layer.strides, 1)
            outputs.append(tf.nn.depthwise_conv2d(x, kernel, strides, "SAME"))
    return tf.concat(outputs, 0)


LAYERS = {
    "pointwise": lambda: CondConv2D(5, EXPERTS),
    "depthwise": lambda: DepthwiseCondConv2D(3, 1, EXPERTS),
    "strided": lambda: DepthwiseCondConv2D(5, 2, EXPERTS),
}


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("kind", LAYERS)
def test_values_and_gradients(kind, batch):
    layer, random = LAYERS[kind](), np.random.default_rng(0)
    inputs = tf.constant(random.normal(size=(batch, 9, 7, CHANNELS)), tf.float32)
    routing = tf.constant(random.uniform(size=(batch, EXPERTS)), tf.float32)
    layer.build(inputs.shape)

    def gradients(convolve):
        with tf.GradientTape() as tape:
            tape.watch([inputs, routing])
            outputs = convolve(inputs, routing)
            loss = tf.reduce_sum(tf.sin(outputs))
        return outputs, *tape.gradient(loss, [inputs, routing, layer.kernel.value])

    # Traced for any batch and size, as a saved model is.
    signature = [
        tf.TensorSpec((None, None, None, CHANNELS)),
        tf.TensorSpec((None, EXPERTS)),
    ]
    batched = gradients(tf.function(layer, input_signature=signature))
    looped = gradients(lambda x, r: one_by_one(layer, x, r))
    assert batched[0].shape == layer.compute_output_shape(inputs.shape, routing.shape)
    for value, expected in zip(batched, looped, strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-5)


def test_experts_start_as_ordinary_convolutions_do():
    keras.utils.set_random_seed(0)
    layer = DepthwiseCondConv2D(5, 1, 8)
    layer.build((None, 8, 8, 512))
    experts = np.asarray(layer.kernel.value)
    # fan_out of a depthwise kernel is 5 * 5 * 1.
    np.testing.assert_allclose(experts.std(axis=1), (2 / 25) ** 0.5, rtol=0.05)
    assert abs(np.corrcoef(experts)[0, 1:]).max() < 0.05
