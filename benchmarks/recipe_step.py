"""The training step of the paper's recipe, as the benchmarks measure it."""

import keras

from efficientnet_tf.config import OptimizerConfig, TrainConfig
from efficientnet_tf.train.ema import ExponentialMovingAverage
from efficientnet_tf.train.optimizer import build_optimizer
from efficientnet_tf.train.schedule import build_schedule
from efficientnet_tf.train.step import TrainStep

# What a run sets on CPUs for images as large as the paper's.
ON_CPUS = {"compiled_swish": True, "cpu_gradients": True}


def recipe_step(model: keras.Model, batch: int, config: TrainConfig, **fields: object) -> TrainStep:
    """The project's own step with the original's optimizer, schedule and average.

    Args:
      model: to logits.
      batch: images of a step.
      config: of the step.
      **fields: of `TrainStep`.
    """
    settings = OptimizerConfig()
    optimizer = build_optimizer(settings, build_schedule(settings, 2048, 625, 218_949))
    optimizer.build(model.trainable_variables)
    ema = ExponentialMovingAverage(model.weights, 0.9999)
    return TrainStep(model, optimizer, ema, config, batch, **fields)
