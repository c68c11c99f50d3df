"""Convolutions that pad as PyTorch's networks do: (kernel - 1) / 2 on every side.

TensorFlow's 'same' puts the odd pixel of a strided convolution to the right and the bottom; on an
even size the two see other pixels. Weights work with the padding they were trained with.
"""

import keras
from keras import ops

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


@register
class SymmetricConv2D(keras.layers.Conv2D):
    """`Conv2D` with a square kernel and symmetric padding; output sizes are those of 'same'."""

    def convolution_op(self, inputs, kernel):
        inputs, padding = pad(inputs, self.kernel_size[0], "symmetric")
        return ops.conv(inputs, kernel, self.strides, padding, self.data_format)


@register
class SymmetricDepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """`DepthwiseConv2D` likewise, without activation."""

    def call(self, inputs):
        inputs, padding = pad(inputs, self.kernel_size[0], "symmetric")
        x = ops.depthwise_conv(inputs, self.kernel, self.strides, padding, self.data_format)
        return x + self.bias if self.use_bias else x


# padding of a `ModelConfig`: (convolution, depthwise convolution)
CONVOLUTIONS = {
    "same": (keras.layers.Conv2D, keras.layers.DepthwiseConv2D),
    "symmetric": (SymmetricConv2D, SymmetricDepthwiseConv2D),
}
