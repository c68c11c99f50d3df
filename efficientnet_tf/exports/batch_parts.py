"""A batch of images a few at a time, two such parts at once, on processors.

One operation after the other leaves threads waiting at the end of each, and a large batch between
two operations does not fit their caches.
"""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from efficientnet_tf.exports.measurement import threads

_PARTS_AT_ONCE = 2
# Enough for each thread to be busy for longer than it takes to start it: 4 images of 224 pixels.
_PIXELS_OF_A_THREAD = 4 * 224 * 224

Inference = Callable[[tf.Tensor], list[tf.Tensor]]


def in_parts(infer: Inference, images: tf.TensorSpec, outputs: list[tf.TensorSpec]) -> Inference:
    """`infer` of a whole batch, or of its parts one after the other and two at a time.

    Args:
      infer: from `images` to `outputs`, each output of one image by that image alone.
      images: [N, H, W, C], N unknown.
      outputs: [N, ...].

    Returns:
      A function that computes what `infer` does, to the last bit but for what kernels make of
      another batch size.
    """

    @tf.function(input_signature=[images], autograph=False)
    def run(batch):
        number = _number_of_parts(tf.shape(batch))
        ends = tf.range(number + 1) * tf.shape(batch)[0] // number

        def one(index, arrays):
            part = infer(batch[ends[index] : ends[index + 1]])
            return index + 1, [
                array.write(index, value) for array, value in zip(arrays, part, strict=True)
            ]

        empty = [
            tf.TensorArray(spec.dtype, number, infer_shape=False, element_shape=spec.shape)
            for spec in outputs
        ]
        _, arrays = tf.while_loop(
            lambda index, _: index < number, one, (0, empty), parallel_iterations=_PARTS_AT_ONCE
        )
        return [array.concat() for array in arrays]

    return run


def pays_in_parts(model: keras.Model) -> bool:
    """Whether `in_parts` may run a model and makes it faster: on processors, image by image.

    What a layer of somebody's own makes of an image may depend on the others of the batch.
    """
    rank, number = len(model.input_shape), model.input_shape[0]
    if tf.config.list_logical_devices("GPU") or rank != 4 or number is not None:
        return False
    return all(
        type(layer).__module__.startswith(("keras.src.layers.", "efficientnet_tf."))
        and not isinstance(layer, keras.layers.Lambda)
        for layer in _operations(model)
    )


def _operations(layer: Any) -> list:
    """What a model is made of to its depths; of a layer, or a model that does not tell, itself."""
    if isinstance(layer, keras.Sequential):
        inside = layer.layers
    else:  # functions stand in a functional model as layers do
        inside = getattr(layer, "operations", None)
    if inside is None:
        return [layer]
    return [operation for one in inside for operation in _operations(one)]


def _number_of_parts(shape: tf.Tensor) -> tf.Tensor:
    """Of a batch [N, H, W, C], at least one."""
    images = tf.maximum(threads() * _PIXELS_OF_A_THREAD // (shape[1] * shape[2]), 1)
    return tf.maximum(shape[0] // images, 1)
