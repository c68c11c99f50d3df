"""The training recipe: optimizers, schedules, the step and the loop that runs it."""

# Before anything of this room: loading Keras imports the modules in `serializable.CLASSES`, and one
# that is half imported at that moment would lack its names.
import keras  # noqa: F401

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
