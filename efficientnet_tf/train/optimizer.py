"""The original's update rules as Keras optimizers, and AdamW for fine-tuning.

Keras' own optimizers cannot replace them:
1. RMSprop: the mean-square slot starts at 1 here, at 0 in Keras, where the first updates are
   several times as large.
2. Momentum: TF1 multiplies the accumulated gradients by the *current* rate, Keras accumulates
   rate times gradient. These differ when the rate changes.
3. LARS does not exist in Keras.
4. AdamW: Keras decays all weights at once in `apply`, so a rate of its own for each layer would
   not scale the decay.
"""

from types import ModuleType

import keras
from keras import ops

from efficientnet_tf.config import OptimizerConfig, unknown_name
from efficientnet_tf.train.variable_roles import is_kernel

register = keras.saving.register_keras_serializable(package="efficientnet_tf")


def _kernels() -> ModuleType | None:
    """TF1's rules as single operations; None on other backends, which have the rules below."""
    if keras.backend.backend() != "tensorflow":
        return None
    from efficientnet_tf.train import update_kernels

    return update_kernels


@register
class RMSprop(keras.optimizers.Optimizer):
    """TF1's RMSProp (`tf.train.RMSPropOptimizer`): epsilon inside the root.

    `ms = decay ms + (1 - decay) g^2`; `mom = momentum mom + rate g / sqrt(ms + epsilon)`;
    `w = w - mom`. `ms` starts at 1.

        rate = 0.016 * batch_size / 256
        optimizer = en.train.RMSprop(rate)  # decay 0.9, momentum 0.9, epsilon 1e-3
        loss = keras.losses.CategoricalCrossentropy(label_smoothing=0.1)
        model.compile(optimizer, loss, metrics=["accuracy"])
        model.fit(dataset, epochs=5)

    Args:
      learning_rate: a number or a Keras schedule, as for every optimizer here.
      decay: of the mean square, 0..1.
      momentum: of the updates, 0..1.
    """

    def __init__(
        self, learning_rate, decay=0.9, momentum=0.9, epsilon=1e-3, name="rmsprop", **kwargs
    ):
        super().__init__(learning_rate, name=name, **kwargs)
        self.decay, self.momentum, self.epsilon = decay, momentum, epsilon

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.mean_squares = [
            self.add_variable_from_reference(v, "mean_square", initializer="ones")
            for v in variables
        ]
        self.momentums = [self.add_variable_from_reference(v, "momentum") for v in variables]

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        mean_square, momentum = self.mean_squares[index], self.momentums[index]
        rate = ops.cast(learning_rate, variable.dtype)
        gradient = ops.cast(gradient, variable.dtype)
        if kernels := _kernels():
            constants = self.decay, self.momentum, self.epsilon
            kernels.apply_rmsprop(variable, mean_square, momentum, gradient, rate, *constants)
            return
        change = (ops.square(gradient) - mean_square) * (1.0 - self.decay)
        self.assign_add(mean_square, change)
        step = rate * gradient * ops.rsqrt(mean_square + self.epsilon)
        self.assign(momentum, self.momentum * momentum + step)
        self.assign_sub(variable, momentum)

    def get_config(self):
        config = {"decay": self.decay, "momentum": self.momentum, "epsilon": self.epsilon}
        return {**super().get_config(), **config}


@register
class Momentum(keras.optimizers.Optimizer):
    """TF1's momentum: `acc = momentum acc + g`; `w = w - rate acc`.

    rate = keras.optimizers.schedules.CosineDecay(0.1, decay_steps=1000)
    optimizer = en.train.Momentum(rate, momentum=0.9)
    model.compile(optimizer, "sparse_categorical_crossentropy")
    model.fit(dataset, epochs=5)
    """

    def __init__(self, learning_rate, momentum=0.9, name="momentum", **kwargs):
        super().__init__(learning_rate, name=name, **kwargs)
        self.momentum = momentum

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.momentums = [self.add_variable_from_reference(v, "momentum") for v in variables]

    def update_step(self, gradient, variable, learning_rate):
        rate = ops.cast(learning_rate, variable.dtype)
        self._accumulate(ops.cast(gradient, variable.dtype), variable, rate)

    def _accumulate(self, gradient, variable, rate):
        """TF1's rule, with everything of the variable's dtype."""
        momentum = self.momentums[self._get_variable_index(variable)]
        if kernels := _kernels():
            kernels.apply_momentum(variable, momentum, gradient, rate, self.momentum)
            return
        self.assign(momentum, self.momentum * momentum + gradient)
        self.assign_sub(variable, rate * momentum)

    def get_config(self):
        return {**super().get_config(), "momentum": self.momentum}


@register
class LARS(Momentum):
    """Layer-wise adaptive rate scaling (You et al. 2017) as `tf.contrib.opt.LARSOptimizer`.

    Unlike TF1's momentum it accumulates rate times gradient: `acc = momentum acc + rate g`;
    `w = w - acc`. Batch norm and biases are neither scaled nor decayed.

        optimizer = en.train.LARS(en.train.Warmup(2.0, 500, after=en.train.Constant(2.0)))
        model.compile(optimizer, "sparse_categorical_crossentropy")
        model.fit(dataset, epochs=5)

    Args:
      l2: weight decay inside the rule, also part of the trust ratio.
      eeta: the trust coefficient.
    """

    def __init__(
        self, learning_rate, momentum=0.9, l2=1e-5, eeta=1e-3, epsilon=0.0, name="lars", **kwargs
    ):
        super().__init__(learning_rate, momentum, name=name, **kwargs)
        self.l2, self.eeta, self.epsilon = l2, eeta, epsilon

    def build(self, variables):
        super().build(variables)
        self._scaled = [is_kernel(v) for v in variables]

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        rate = ops.cast(learning_rate, variable.dtype)
        if self._scaled[index]:
            weights = ops.convert_to_tensor(variable)
            w_norm, g_norm = (ops.sqrt(ops.sum(ops.square(x))) for x in (weights, gradient))
            ratio = self.eeta * w_norm / (g_norm + self.l2 * w_norm + self.epsilon)
            rate = rate * ops.where((w_norm > 0) & (g_norm > 0), ratio, 1.0)
            gradient = gradient + self.l2 * weights
        self._accumulate(rate * gradient, variable, ops.ones_like(rate))

    def get_config(self):
        config = {"l2": self.l2, "eeta": self.eeta, "epsilon": self.epsilon}
        return {**super().get_config(), **config}


@register
class AdamW(keras.optimizers.Adam):
    """Keras' Adam with decoupled weight decay (Loshchilov & Hutter 2019) inside the update.

    `w = w - rate * weight_decay * w`, then Adam's update. Batch norm and biases do not decay.

        model.compile(en.train.AdamW(3e-4, weight_decay=0.01), "sparse_categorical_crossentropy")
        model.fit(dataset, epochs=5)
    """

    def __init__(self, learning_rate, weight_decay=0.01, name="adamw", **kwargs):
        super().__init__(learning_rate, name=name, **kwargs)
        self.decoupled_decay = weight_decay

    def build(self, variables):
        super().build(variables)
        self._decayed = [is_kernel(v) for v in variables]

    def update_step(self, gradient, variable, learning_rate):
        rate = ops.cast(learning_rate, variable.dtype)
        index = self._get_variable_index(variable)
        if self.decoupled_decay and self._decayed[index]:
            self.assign_sub(variable, rate * self.decoupled_decay * variable)
        kernels = _kernels()
        if kernels is None or self.amsgrad:
            super().update_step(gradient, variable, rate)
            return
        steps = ops.cast(self.iterations + 1, variable.dtype)
        kernels.apply_adam(
            variable,
            self._momentums[index],
            self._velocities[index],
            ops.cast(gradient, variable.dtype),
            rate,
            steps,
            self.beta_1,
            self.beta_2,
            self.epsilon,
        )

    def get_config(self):
        return {**super().get_config(), "weight_decay": self.decoupled_decay}


def build_optimizer(config: OptimizerConfig, learning_rate) -> keras.optimizers.Optimizer:
    """The optimizer that `config` names.

        config = OptimizerConfig(optimizer="rmsprop", lr_schedule="cosine")
        rate = en.train.build_schedule(config, batch_size, steps_per_epoch, total_steps)
        model.compile(en.train.build_optimizer(config, rate), "categorical_crossentropy")

    Args:
      config: from `efficientnet_tf.config`.
      learning_rate: a number or a Keras schedule.

    Raises:
      UserError: there is no such optimizer.
    """
    builders = {
        "rmsprop": lambda: RMSprop(learning_rate, config.decay, config.momentum, config.epsilon),
        "momentum": lambda: Momentum(learning_rate, config.momentum),
        "sgd": lambda: keras.optimizers.SGD(learning_rate),
        "lars": lambda: LARS(
            learning_rate, config.momentum, config.lars_weight_decay, epsilon=config.lars_epsilon
        ),
        "adamw": lambda: AdamW(learning_rate, config.adamw_weight_decay),
    }
    if config.optimizer not in builders:
        raise unknown_name("optimizer", config.optimizer, builders)
    return builders[config.optimizer]()
