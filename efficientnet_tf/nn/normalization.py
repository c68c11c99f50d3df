"""The input normalisation of a network: from pixels in 0..255 to the range its weights expect."""

from collections.abc import Sequence

import keras
from keras import ops

register = keras.saving.register_keras_serializable(package="efficientnet_tf")


def per_channel(rgb: Sequence[float], channels: int) -> tuple[float, ...]:
    """A mean or deviation of RGB images, [3], for images of `channels` channels.

    The first three of more than three channels are RGB. Every other channel, and each of fewer
    than three, has the average of the three.
    """
    average = sum(rgb) / 3
    if channels < 3:
        return (average,) * channels
    return (*rgb, *(average,) * (channels - 3))


@register
class Normalization(keras.layers.Layer):
    """`(x - mean) / stddev` for each channel, in float32 at least and without variables.

    Equal to Keras' layer of the same name, which holds mean and variance as tensors: an export to
    ONNX makes them inputs of the graph, and such a file cannot run. Here they are constants of the
    graph. Under a policy that computes in 16 bits the input is normalised before it is rounded.

    Args:
      mean, stddev: one number for each channel, on the scale of the input.
    """

    def __init__(self, mean: Sequence[float], stddev: Sequence[float], **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.mean, self.stddev = tuple(map(float, mean)), tuple(map(float, stddev))
        self.built = True

    @property
    def variance(self) -> tuple[float, ...]:
        """The square of `stddev`; Keras' layer has this attribute instead of `stddev`."""
        return tuple(value * value for value in self.stddev)

    def call(self, inputs):
        dtype = keras.backend.result_type(self.compute_dtype, "float32")
        mean, stddev = (ops.convert_to_tensor(v, dtype) for v in (self.mean, self.stddev))
        return ops.cast((ops.cast(inputs, dtype) - mean) / stddev, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "mean": self.mean, "stddev": self.stddev}
