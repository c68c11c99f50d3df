"""The training recipe: optimizers, schedules, the step and the loop that runs it."""

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
