"""The training recipe, part by part; `efficientnet_tf.fit` runs all of it.

model.compile(
    en.train.RMSprop(en.train.build_schedule(en.OptimizerConfig(), 256, 5004, 1751000)),
    "sparse_categorical_crossentropy",
)
model.fit(images, labels, callbacks=[en.train.EMACallback()])
"""

import keras  # noqa: F401  Loading Keras registers this room's classes: not amid their imports.

from efficientnet_tf.train.ema import ExponentialMovingAverage, ema_decay
from efficientnet_tf.train.ema_callback import EMACallback
from efficientnet_tf.train.optimizer import LARS, Momentum, RMSprop, build_optimizer
from efficientnet_tf.train.schedule import Constant, Warmup, build_schedule

__all__ = [
    "LARS",
    "Constant",
    "EMACallback",
    "ExponentialMovingAverage",
    "Momentum",
    "RMSprop",
    "Warmup",
    "build_optimizer",
    "build_schedule",
    "ema_decay",
]
