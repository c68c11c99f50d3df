"""Dropout and stochastic depth, whose draws a training step can repeat."""

import keras
from keras import ops

from efficientnet_tf.nn.layers import register
from efficientnet_tf.nn.step_context import current_step, is_training


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
