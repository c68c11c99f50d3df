"""Learning-rate schedules: Keras' own, with the original's linear warm-up."""

import keras
from keras import ops
from keras.optimizers import schedules

from efficientnet_tf.config import OptimizerConfig, unknown_name

# What the original calls a schedule, where Keras has another word.
_ORIGINAL_NAMES = {"poly": "polynomial"}


@keras.saving.register_keras_serializable(package="efficientnet_tf")
class Warmup(schedules.LearningRateSchedule):
    """Linear ramp from 0 to `initial_learning_rate`, then another schedule.

        rate, steps = 0.016 * batch_size / 256, 5 * steps_per_epoch
        after = keras.optimizers.schedules.ExponentialDecay(rate, 2.4 * steps_per_epoch, 0.97, True)
        optimizer = en.train.RMSprop(en.train.Warmup(rate, steps, after))
        model.compile(optimizer, "sparse_categorical_crossentropy")

    Args:
      initial_learning_rate: reached at step `warmup_steps`; step 0 has rate 0.
      warmup_steps: length of the ramp, at least 1.
      after: the schedule that takes over; it counts its steps from the start of training, as in
        the original, unless `offset`.
      offset: count the steps of `after` from the end of the ramp, starting at 1 (the original's
        polynomial schedule does).
    """

    def __init__(self, initial_learning_rate, warmup_steps, after, offset=False):
        self.initial_learning_rate = initial_learning_rate
        self.warmup_steps = warmup_steps
        self.after = after
        self.offset = offset

    def __call__(self, step):
        step = ops.cast(step, "float32")
        ramp = self.initial_learning_rate * step / self.warmup_steps
        shifted = ops.maximum(step - self.warmup_steps, 1.0) if self.offset else step
        return ops.where(step < self.warmup_steps, ramp, self.after(shifted))

    def get_config(self):
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "warmup_steps": self.warmup_steps,
            "after": schedules.serialize(self.after),
            "offset": self.offset,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "after": schedules.deserialize(config["after"])})


@keras.saving.register_keras_serializable(package="efficientnet_tf")
class Constant(schedules.LearningRateSchedule):
    """The same rate at every step."""

    def __init__(self, learning_rate):
        self.learning_rate = learning_rate

    def __call__(self, step):
        return ops.convert_to_tensor(self.learning_rate, "float32")

    def get_config(self):
        return {"learning_rate": self.learning_rate}


def build_schedule(
    config: OptimizerConfig, batch_size: int, steps_per_epoch: float, total_steps: int
) -> schedules.LearningRateSchedule:
    """The schedule that `config` names, from the number of updates done to a learning rate.

        config = OptimizerConfig(base_learning_rate=0.016, lr_schedule="cosine")
        rate = en.train.build_schedule(config, batch_size, steps_per_epoch, total_steps)
        float(rate(0)), float(rate(total_steps))  # both 0: the ramp begins, the cosine ends
        model.compile(en.train.RMSprop(rate), "sparse_categorical_crossentropy")

    Args:
      config: names the schedule; `base_learning_rate` is for 256 examples and scales linearly.
      batch_size: examples per step over all replicas.
      steps_per_epoch: may be fractional.
      total_steps: where the cosine reaches 0 and the polynomial its end; `lr_warmup_share` is a
        share of it.

    Raises:
      UserError: there is no such schedule.
    """
    name = _ORIGINAL_NAMES.get(config.lr_schedule, config.lr_schedule)
    rate = config.base_learning_rate * batch_size / 256
    warmup_steps = int(config.lr_warmup_epochs * steps_per_epoch)
    if config.lr_warmup_share is not None:
        warmup_steps = int(config.lr_warmup_share * total_steps)
    decay_steps = steps_per_epoch * config.lr_decay_epoch
    builders = {
        "exponential": lambda: schedules.ExponentialDecay(
            rate, decay_steps, config.lr_decay_factor, staircase=True
        ),
        "cosine": lambda: schedules.CosineDecay(rate, total_steps),
        "constant": lambda: Constant(rate),
        # The original's end is 0.1 whatever the initial rate; meant for LARS, with rates above 1.
        "polynomial": lambda: schedules.PolynomialDecay(
            rate, max(1, total_steps - warmup_steps + 1), end_learning_rate=0.1, power=2.0
        ),
    }
    if name not in builders:
        raise unknown_name("lr_schedule", name, builders)
    after = builders[name]()
    if warmup_steps < 1:
        return after
    return Warmup(rate, warmup_steps, after, offset=name == "polynomial")
