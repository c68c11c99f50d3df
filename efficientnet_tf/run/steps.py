"""The training step of a session, and the loop that runs it on the session's data."""

import dataclasses

import numpy as np
from keras.optimizers.schedules import LearningRateSchedule

from efficientnet_tf import data
from efficientnet_tf.arch.scaling import stage_sizes
from efficientnet_tf.config import UserError
from efficientnet_tf.nn.folding import transfer_folded
from efficientnet_tf.nn.freezing import freeze, freeze_batch_norm
from efficientnet_tf.nn.network import build_network
from efficientnet_tf.run.class_weights import class_weights, in_words
from efficientnet_tf.run.divergence import reordered
from efficientnet_tf.run.session import Session
from efficientnet_tf.run.step_memory import StepMemory, step_memory
from efficientnet_tf.train import distribute
from efficientnet_tf.train.ema import ExponentialMovingAverage
from efficientnet_tf.train.layer_decay import rate_factors
from efficientnet_tf.train.loop import DeviceLoop
from efficientnet_tf.train.loss_scale import LossScale
from efficientnet_tf.train.optimizer import build_optimizer
from efficientnet_tf.train.step import TrainStep
from efficientnet_tf.weights.warm_start import Report, start_from

_MANY_PIXELS = 2**18  # sixteen images of 128 pixels


def build_step(
    session: Session, learning_rate: LearningRateSchedule
) -> tuple[TrainStep, str | None, StepMemory]:
    """The training step of a run that begins.

    Returns:
      The step, what its starting weights gave in words, and what it needs of a device.
    """
    config, strategy, model = session.config, session.strategy, session.model
    _check_accumulation(session)
    batch_size = config.data.train_batch_size
    norm_group = distribute.batch_norm_group(
        config.optimizer.optimizer,
        strategy.num_replicas_in_sync,
        session.share("train_batch_size"),
        config.train.batch_norm_batch_size,
        config.train.batch_norm_replicas,
    )
    if config.distribution.use_xla and norm_group > 1:
        raise UserError(
            f"--use_xla compiles replicas one by one, and {norm_group} of them normalise together; "
            "--batch_norm_replicas=1, or leave out --use_xla"
        )
    if config.train.freeze:
        freeze(model, config.train.freeze)
    if config.train.freeze_bn:
        freeze_batch_norm(model)
    with strategy.scope():
        optimizer = build_optimizer(config.optimizer, learning_rate)
        optimizer.build(model.trainable_variables)
        loss_scale = LossScale(optimizer) if model.compute_dtype == "float16" else None
        report = None
        if session.start.weights and not session.start.is_own:
            report = str(_start(session))
        ema = None
        if decay := config.train.moving_average_decay:
            ema = ExponentialMovingAverage(model.weights, decay, config.train.moving_average_span)
    variables = [*model.weights, *optimizer.variables, *model.trainable_variables]
    variables += ema.shadows if ema else []
    memory = step_memory(config, session.network, strategy, model.compute_dtype, variables)
    for_cpus = _takes_long_on_cpus(session)
    step = TrainStep(
        model,
        optimizer,
        ema,
        dataclasses.replace(config.train, remat="blocks" if memory.remat else "none"),
        batch_size,
        norm_group,
        config.optimizer.gradient_clip_norm,
        rate_factors(model, stage_sizes(session.network), config.optimizer.layer_decay),
        _class_weights(session),
        plain_moments=distribute.is_tpu(strategy),
        compiled_swish=for_cpus and data.xla_works(),
        cpu_gradients=for_cpus,
        loss_scale=loss_scale,
        compiled=config.distribution.use_xla and not distribute.is_tpu(strategy),
    )
    return step, report, memory


def _start(session: Session) -> Report:
    """Sets the weights that the run starts from; a network that becomes int8 gets them folded."""
    weights, network, model = session.start.weights, session.network, session.model
    if not network.quantize_aware or weights.needs.get("quantize_aware"):
        return start_from(model, weights)
    plain = build_network(
        network.replace(quantize_aware=False),
        input_shape=model.input_shape[1:],
        classifier_activation=None,
    )
    report = start_from(plain, weights)
    transfer_folded(plain, model)
    return report


def _takes_long_on_cpus(session: Session) -> bool:
    """Whether steps are long enough to make up for a start that is a second or two longer.

    On CPUs, and by TensorFlow's own kernels instead of XLA's.
    """
    config = session.config
    pixels = session.share("train_batch_size") * config.data.image_size**2
    on_cpus = distribute.is_cpu(session.strategy) and not config.distribution.use_xla
    return on_cpus and pixels >= _MANY_PIXELS


def _check_accumulation(session: Session) -> None:
    share, parts = session.share("train_batch_size"), session.config.train.grad_accum_steps
    if share % parts:
        raise UserError(
            f"--grad_accum_steps={parts} does not divide the {share} examples of a replica; "
            "see --train_batch_size"
        )


def _class_weights(session: Session) -> np.ndarray | None:
    train = session.config.train
    if not train.class_weights:
        return None
    weights = class_weights(
        train.class_weights, train.loss, session.source, session.network.num_classes
    )
    session.say(in_words(weights, session.source))
    return weights


def build_loop(
    session: Session, train_step: TrainStep, start: int, augment=None, rollbacks: int = 0
) -> DeviceLoop:
    """The loop that runs `train_step` on the training data from step `start` on.

    Args:
      augment: a policy in place of `config.data.augment_name`.
      rollbacks: how often the run has gone back for another order of the images.
    """
    config = session.config
    ordered = dataclasses.replace(config, data=reordered(config.data, rollbacks))
    batches = dataclasses.replace(session, config=ordered).distributed(
        data.train_dataset,
        session.share("train_batch_size"),
        start_step=start,
        augment=augment,
        image_dtype=session.model.compute_dtype,
    )
    most_steps = min(config.train.iterations_per_loop, config.train.steps_per_eval)
    return DeviceLoop(
        session.strategy, train_step, batches, most_steps, config.train.log_step_count_steps
    )
