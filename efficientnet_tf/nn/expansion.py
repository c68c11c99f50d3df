"""The endpoint inside a block: the tensor that enters its projection."""

import keras

from efficientnet_tf.nn.block import Block
from efficientnet_tf.nn.layers import register


@register
class BlockWithExpansion(keras.layers.Layer):
    """A block of another network, sharing its weights, that returns `(output, expansion)`.

    A layer of its own because Keras loses the connections of a functional model in which one layer
    is called with two structures of outputs.
    """

    def __init__(self, block: Block, **kwargs):
        super().__init__(**{"name": f"{block.name}_with_expansion", **kwargs})
        self.block = block

    def call(self, inputs):
        return self.block.output_and_expansion(inputs)

    def build(self, input_shape):
        if not self.block.built:
            self.block.build(input_shape)

    def get_config(self):
        block = keras.saving.serialize_keras_object(self.block)
        return {**super().get_config(), "block": block}

    @classmethod
    def from_config(cls, config):
        block = keras.saving.deserialize_keras_object(config.pop("block"))
        return cls(block, **config)
