"""Training: what it needs beside a session, made ready to go on from where the run stands."""

from collections.abc import Iterator
from dataclasses import dataclass

from efficientnet_tf import data
from efficientnet_tf.arch.scaling import stage_sizes
from efficientnet_tf.config import RunConfig, UserError
from efficientnet_tf.nn.freezing import freeze, freeze_batch_norm
from efficientnet_tf.run.picture import captioned_grid
from efficientnet_tf.run.session import Session, explained, open_session
from efficientnet_tf.train import distribute
from efficientnet_tf.train.agreement import any_worker
from efficientnet_tf.train.checkpoint import CheckpointSaver
from efficientnet_tf.train.curves import TrainingCurves
from efficientnet_tf.train.ema import ExponentialMovingAverage
from efficientnet_tf.train.layer_decay import rate_factors
from efficientnet_tf.train.loop import DeviceLoop
from efficientnet_tf.train.optimizer import build_optimizer
from efficientnet_tf.train.schedule import build_schedule
from efficientnet_tf.train.step import TrainStep
from efficientnet_tf.train.trainer import Trainer
from efficientnet_tf.weights.warm_start import start_from

_IMAGES_SHOWN = 24


@dataclass(frozen=True)
class Training:
    """A run that is ready to train.

    Attributes:
      session: its devices, data and network.
      trainer: drives the device from `start` on.
      start: optimizer steps done before.
      ema: the average of the weights, None for a run without.
    """

    session: Session
    trainer: Trainer
    start: int
    ema: ExponentialMovingAverage | None

    def segments(self) -> Iterator[int]:
        """Trains to the end, pausing with the step's number whenever an evaluation is due."""
        with explained(self.session.source, lambda: self.trainer.step):
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
    _check_accumulation(session)
    _check_order(session)
    train_step, schedule, report = _build_step(session)
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
        _announce(session, start, report)
        session.folder.claim(
            session.network,
            config.flags_text,
            session.source.label_names,
            _order_version(session.source),
        )
        _show_beginning(session, start, augment)
    trainer = _trainer(session, train_step, schedule, saver, start, augment)
    return Training(session, trainer, start, ema)


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


def _steps_per_epoch(session: Session) -> float:
    return session.source.num_train_images / session.config.data.train_batch_size


def _build_step(session: Session):
    """The training step, its learning rate, and what starting weights gave, in words or None."""
    config, strategy, model = session.config, session.strategy, session.model
    batch_size = config.data.train_batch_size
    norm_group = distribute.batch_norm_group(
        config.optimizer.optimizer,
        strategy.num_replicas_in_sync,
        session.share("train_batch_size"),
        config.train.batch_norm_batch_size,
        config.train.batch_norm_replicas,
    )
    if config.train.freeze:
        freeze(model, config.train.freeze)
    if config.train.freeze_bn:
        freeze_batch_norm(model)
    schedule = build_schedule(
        config.optimizer, batch_size, _steps_per_epoch(session), config.train.train_steps
    )
    with strategy.scope():
        optimizer = build_optimizer(config.optimizer, schedule)
        optimizer.build(model.trainable_variables)
        report = None
        if session.start.weights and not session.start.is_own:
            report = str(start_from(model, session.start.weights))
        ema = None
        if decay := config.train.moving_average_decay:
            ema = ExponentialMovingAverage(model.weights, decay)
    step = TrainStep(
        model,
        optimizer,
        ema,
        config.train,
        batch_size,
        norm_group,
        config.optimizer.gradient_clip_norm,
        rate_factors(model, stage_sizes(session.network), config.optimizer.layer_decay),
    )
    return step, schedule, report


def _trainer(session, train_step, schedule, saver, start, augment) -> Trainer:
    config = session.config.train
    batches = session.distributed(
        data.train_dataset,
        session.share("train_batch_size"),
        start_step=start,
        augment=augment,
    )
    loop = DeviceLoop(
        session.strategy,
        train_step,
        batches,
        min(config.iterations_per_loop, config.steps_per_eval),
        config.log_step_count_steps,
    )
    curves = TrainingCurves(
        session.summaries, _steps_per_epoch(session), schedule, config.moving_average_decay
    )
    return Trainer(loop, config, saver if session.is_chief else None, curves, session.verbose)


def _announce(session: Session, start: int, report: str | None) -> None:
    config, replicas = session.config, session.strategy.num_replicas_in_sync
    parameters = sum(v.shape.num_elements() for v in session.model.trainable_variables)
    source, size = session.source, config.data.image_size
    session.say(
        f"{session.network.name}: {parameters:,} parameters, {size}x{size}, "
        f"{session.network.num_classes} classes",
        f"{config.data.dataset}: {source.num_train_images} training images, "
        f"{source.num_eval_images or 'an unknown number'} to evaluate",
        f"{config.train.train_steps} steps of {config.data.train_batch_size} on {replicas} "
        f"replica{'s' * (replicas > 1)} ({type(session.strategy).__name__.lstrip('_')}), "
        f"{f'from step {start}' if start else 'from the start'}",
        *([report] if report and not start else []),
        f"results: {session.folder.path}",
    )


def _show_beginning(session: Session, start: int, augment) -> None:
    """To TensorBoard: the flags, and the run's next images as the network will see them."""
    if not session.summaries.enabled:
        return
    config = session.config
    flags = "\n".join(f"    {line}" for line in config.flags_text.splitlines())
    session.summaries.text("flags", flags)
    count = min(_IMAGES_SHOWN, config.data.train_batch_size)
    with explained(session.source, lambda: start):
        batches = data.train_dataset(
            session.source, config.data, count, start_step=start, augment=augment, report=False
        )
        batch = next(batches.as_numpy_iterator())
    names = session.source.label_names
    classes = batch["label"].argmax(-1)
    offset = batch["label"].shape[-1] - len(names) if names else 0
    captions = [names[c - offset] if names and c >= offset else str(c) for c in classes]
    grid = captioned_grid(batch["image"], captions)
    session.summaries.image("first_batch", grid, start)
