"""Training: what it needs beside a session, made ready to go on from where the run stands."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from keras.optimizers.schedules import LearningRateSchedule

from efficientnet_tf import data
from efficientnet_tf.arch.scaling import stage_sizes
from efficientnet_tf.config import RunConfig, TrainConfig, UserError, step_range
from efficientnet_tf.nn.freezing import freeze, freeze_batch_norm
from efficientnet_tf.run.announcement import announce, say_memory
from efficientnet_tf.run.class_weights import class_weights, in_words
from efficientnet_tf.run.dashboard import show_beginning
from efficientnet_tf.run.session import Session, explained, open_session
from efficientnet_tf.run.step_memory import StepMemory, step_memory
from efficientnet_tf.train import distribute
from efficientnet_tf.train.agreement import any_worker
from efficientnet_tf.train.checkpoint import CheckpointSaver
from efficientnet_tf.train.curves import TrainingCurves
from efficientnet_tf.train.ema import ExponentialMovingAverage
from efficientnet_tf.train.layer_decay import rate_factors
from efficientnet_tf.train.loop import DeviceLoop
from efficientnet_tf.train.loss_scale import LossScale
from efficientnet_tf.train.optimizer import build_optimizer
from efficientnet_tf.train.schedule import build_schedule
from efficientnet_tf.train.step import TrainStep
from efficientnet_tf.train.step_profiler import StepProfiler
from efficientnet_tf.train.trainer import Trainer
from efficientnet_tf.weights.warm_start import start_from


@dataclass(frozen=True)
class Training:
    """A run that is ready to train.

    Attributes:
      session: its devices, data and network.
      trainer: drives the device from `start` on.
      start: optimizer steps done before.
      ema: the average of the weights, None for a run without.
      memory: what a step needs.
    """

    session: Session
    trainer: Trainer
    start: int
    ema: ExponentialMovingAverage | None
    memory: StepMemory

    def segments(self) -> Iterator[int]:
        """Trains to the end, pausing with the step's number whenever an evaluation is due."""
        with explained(self.session.source, lambda: self.trainer.step, self.memory):
            yield from self.trainer.segments()

    def wait_for_all_workers(self) -> None:
        """Keeps every process until the last one is here: the chief may still be writing."""
        any_worker(self.session.strategy, False)


def prepare_training(
    config: RunConfig,
    source: data.Source | None = None,
    augment=None,
    verbose: bool = True,
) -> Training:
    """Builds a run, restores its newest checkpoint, and writes down what it is.

    Args:
      config: what was said about it.
      source: the data, where they are not what `config.data` names.
      augment: a policy in place of `config.data.augment_name`; see `data.train_dataset`.
      verbose: print progress and results.

    Raises:
      UserError: before anything is written.
    """
    session = open_session(config, training=True, source=source, verbose=verbose)
    config = session.config
    steps_per_epoch = session.source.num_train_images / config.data.train_batch_size
    profiler = StepProfiler(_profiled_steps(config.train), session.folder.file("train"))
    _check_order(session)
    schedule = build_schedule(
        config.optimizer,
        config.data.train_batch_size,
        steps_per_epoch,
        config.train.train_steps,
    )
    train_step, report, memory = build_step(session, schedule)
    ema = train_step.ema
    saver = CheckpointSaver(
        session.folder.path,
        session.model,
        train_step.optimizer,
        ema,
        config.train.keep_checkpoint_max,
    )
    start = saver.restore_in_all_workers(session.strategy)
    if session.is_chief:
        announce(session, start, report, profiler.steps)
        say_memory(session, memory)
        session.folder.claim(
            session.network,
            config.train.loss,
            config.flags_text,
            session.source.label_names,
            _order_version(session.source),
        )
        show_beginning(session, start, augment)
    most_steps = min(config.train.iterations_per_loop, config.train.steps_per_eval)
    trainer = Trainer(
        build_loop(session, train_step, start, most_steps, augment),
        config.train,
        saver if session.is_chief else None,
        TrainingCurves(session.summaries, steps_per_epoch, schedule, ema and ema.decay_after),
        session.verbose,
        profiler if session.is_chief else None,
    )
    return Training(session, trainer, start, ema, memory)


def _check_accumulation(session: Session) -> None:
    share, parts = session.share("train_batch_size"), session.config.train.grad_accum_steps
    if share % parts:
        raise UserError(
            f"--grad_accum_steps={parts} does not divide the {share} examples of a replica; "
            "see --train_batch_size"
        )


def _check_order(session: Session) -> None:
    """The examples of an epoch are found by their place in its order: another rule repeats some."""
    if session.folder.data_order() not in (None, _order_version(session.source)):
        raise UserError(
            f"--model_dir={session.folder.path} was begun by a version of this package that "
            "shuffled the pictures in another order; finish it with that version, or start a new "
            f"run with --init_checkpoint={session.folder.path} and another --model_dir"
        )


def _order_version(source: data.Source) -> int:
    """The version of the rule that orders an epoch; ready-made batches have the first."""
    return getattr(source, "order_version", 1)


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
            report = str(start_from(model, session.start.weights))
        ema = None
        if decay := config.train.moving_average_decay:
            ema = ExponentialMovingAverage(model.weights, decay, config.train.moving_average_span)
    variables = [*model.weights, *optimizer.variables, *model.trainable_variables]
    variables += ema.shadows if ema else []
    memory = step_memory(config, session.network, strategy, model.compute_dtype, variables)
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
        loss_scale=loss_scale,
        compiled=config.distribution.use_xla and not distribute.is_tpu(strategy),
    )
    return step, report, memory


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
    session: Session, train_step: TrainStep, start: int, most_steps: int, augment=None
) -> DeviceLoop:
    """The loop that runs `train_step` on the training data from step `start` on.

    Args:
      most_steps: the most steps of one call.
      augment: a policy in place of `config.data.augment_name`.
    """
    batches = session.distributed(
        data.train_dataset,
        session.share("train_batch_size"),
        start_step=start,
        augment=augment,
        image_dtype=session.model.compute_dtype,
    )
    log_every = session.config.train.log_step_count_steps
    return DeviceLoop(session.strategy, train_step, batches, most_steps, log_every)


def _profiled_steps(config: TrainConfig) -> range:
    steps = step_range(config.profile_steps)
    if steps and steps[-1] > config.train_steps:
        raise UserError(f"--profile_steps={config.profile_steps} ends after the last step, "
                        f"{config.train_steps}; see --train_steps")  # fmt: skip
    return steps
