"""The training recipe and the loop that runs it.

The names below work in plain Keras too: optimizers and schedules in `model.compile`, the average
as a callback of `model.fit`.
"""

import keras  # noqa: F401  Loading Keras registers this room's classes: not amid their imports.

from efficientnet_tf.train.ema import ExponentialMovingAverage, ema_decay
from efficientnet_tf.train.ema_callback import EMACallback
from efficientnet_tf.train.losses import (
    binary_cross_entropy,
    cross_entropy,
    focal_cross_entropy,
    weight_decay,
)
from efficientnet_tf.train.optimizer import LARS, AdamW, Momentum, RMSprop, build_optimizer
from efficientnet_tf.train.schedule import Constant, Warmup, build_schedule

__all__ = [
    "LARS",
    "AdamW",
    "Constant",
    "EMACallback",
    "ExponentialMovingAverage",
    "Momentum",
    "RMSprop",
    "Warmup",
    "binary_cross_entropy",
    "build_optimizer",
    "build_schedule",
    "cross_entropy",
    "ema_decay",
    "focal_cross_entropy",
    "weight_decay",
]
