"""The training recipe: optimizers, schedules, the step and the loop that runs it."""

import keras  # noqa: F401  Loading Keras registers this room's classes: not amid their imports.

from efficientnet_tf.train.optimizer import LARS, Momentum, RMSprop, build_optimizer
from efficientnet_tf.train.schedule import Constant, Warmup, build_schedule

__all__ = [
    "LARS",
    "Constant",
    "Momentum",
    "RMSprop",
    "Warmup",
    "build_optimizer",
    "build_schedule",
]
