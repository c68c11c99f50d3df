"""Convolutions that pad as TensorFlow's networks do or as PyTorch's.

TensorFlow's 'same' puts the odd pixel of a strided convolution to the right and the bottom, PyTorch
(kernel - 1) / 2 pixels on every side; on an even size the two see other pixels. Weights work with
the padding they were trained with.
"""

import keras
from keras import ops

from efficientnet_tf.nn.step_context import current_step

register = keras.saving.register_keras_serializable(package="efficientnet_tf")


def pad(inputs, kernel_size: int, padding: str):
    """`(inputs, padding)` for a convolution of the backend, which knows `same` and `valid`.

    Args:
      inputs: [N, H, W, C].
      padding: `same` or `symmetric`.
    """
    if padding == "same":
        return inputs, "same"
    side = (kernel_size - 1) // 2
    return ops.pad(inputs, [[0, 0], [side, side], [side, side], [0, 0]]), "valid"


def conv(inputs, kernel, strides: tuple[int, int], padding: str):
    """A convolution of the backend, of single pixels in the form that the step asks for."""
    step = current_step()
    if step and step.cpu_gradients and (*kernel.shape[:2], *strides) == (1, 1, 1, 1):
        return _product(inputs, kernel)
    return ops.conv(inputs, kernel, strides, padding, "channels_last")


def _product(inputs, kernel):
    """A 1 x 1 convolution as a product of matrices, whose gradients are such products too."""
    *places, channels = ops.shape(inputs)
    kernel = ops.reshape(kernel, kernel.shape[2:])
    return ops.reshape(ops.reshape(inputs, (-1, channels)) @ kernel, (*places, kernel.shape[-1]))


def depthwise_conv(inputs, kernel, strides: int, padding: str):
    """A depthwise convolution likewise; `kernel` is square, [size, size, C, 1]."""
    step = current_step()
    if step and step.cpu_gradients:
        from efficientnet_tf.nn import cpu_gradients

        return cpu_gradients.depthwise_conv(inputs, ops.convert_to_tensor(kernel), strides, padding)
    return ops.depthwise_conv(inputs, kernel, strides, padding, "channels_last")


class Conv2D(keras.layers.Conv2D):
    """Keras' layer, computed in the form that the step asks for."""

    def convolution_op(self, inputs, kernel):
        return conv(inputs, kernel, self.strides, self.padding)


class DepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """Likewise, with a square kernel and without activation."""

    def call(self, inputs):
        if self.use_bias:  # of a folded network, which trains for int8 alone
            return super().call(inputs)
        return depthwise_conv(inputs, self.kernel, self.strides[0], self.padding)


@register
class SymmetricConv2D(keras.layers.Conv2D):
    """Likewise, with a square kernel and symmetric padding; output sizes are those of 'same'."""

    def convolution_op(self, inputs, kernel):
        inputs, padding = pad(inputs, self.kernel_size[0], "symmetric")
        return conv(inputs, kernel, self.strides, padding)


@register
class SymmetricDepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """`DepthwiseConv2D` with symmetric padding."""

    def call(self, inputs):
        inputs, padding = pad(inputs, self.kernel_size[0], "symmetric")
        x = depthwise_conv(inputs, self.kernel, self.strides[0], padding)
        return x + self.bias if self.use_bias else x


# padding of a `ModelConfig`: (convolution, depthwise convolution)
CONVOLUTIONS = {
    "same": (Conv2D, DepthwiseConv2D),
    "symmetric": (SymmetricConv2D, SymmetricDepthwiseConv2D),
}
