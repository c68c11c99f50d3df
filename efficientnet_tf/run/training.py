"""Training: what it needs beside a session, made ready to go on from where the run stands."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from efficientnet_tf import data
from efficientnet_tf.config import RunConfig, TrainConfig, UserError, step_range
from efficientnet_tf.run import divergence
from efficientnet_tf.run.announcement import announce, say_memory
from efficientnet_tf.run.dashboard import show_beginning
from efficientnet_tf.run.lock import RunLock
from efficientnet_tf.run.record import RunRecord
from efficientnet_tf.run.session import Session, explained, open_session
from efficientnet_tf.run.step_memory import StepMemory
from efficientnet_tf.run.steps import build_loop, build_step
from efficientnet_tf.train.agreement import any_worker, fail_together
from efficientnet_tf.train.checkpoint import CheckpointSaver, Keeping
from efficientnet_tf.train.curves import TrainingCurves
from efficientnet_tf.train.ema import ExponentialMovingAverage
from efficientnet_tf.train.schedule import build_schedule
from efficientnet_tf.train.step_profiler import StepProfiler
from efficientnet_tf.train.trainer import Diverged, Trainer


@dataclass
class Training:
    """A run that is ready to train. `close` it: its folder is locked until then.

    Attributes:
      session: its devices, data and network.
      trainer: drives the device from `start` on.
      start: optimizer steps done before.
      ema: the average of the weights, None for a run without.
      memory: what a step needs.
      saver: of its checkpoints.
      record: what it is trained with.
      augment: a policy in place of that of the configuration.
      held: what `close` gives back.
    """

    session: Session
    trainer: Trainer
    start: int
    ema: ExponentialMovingAverage | None
    memory: StepMemory
    saver: CheckpointSaver
    record: RunRecord
    augment: object = None
    held: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def segments(self) -> Iterator[int]:
        """Trains to the end, pausing with the step's number whenever an evaluation is due.

        A run that diverges goes back to its last checkpoint, if `nan_policy` says so.
        """
        with explained(self.session.source, lambda: self.trainer.step, self.memory):
            while True:
                try:
                    yield from self.trainer.segments()
                    return
                except Diverged as error:
                    self._roll_back(error)

    def _roll_back(self, error: Diverged) -> None:
        session, record = self.session, self.record
        told = divergence.with_images(session, error, record.rollbacks)
        end = divergence.reason_to_stop(session, error, record.rollbacks)
        if end is not None:
            raise UserError("; ".join(filter(None, [str(told), end]))) from None
        start = self.saver.restore_in_all_workers(session.strategy)
        if session.is_chief:
            record.roll_back(start)
        else:
            record.rollbacks += 1
        session.say(f"{told}", f"back to step {start}, and on with the images in another order")
        train_step = self.trainer.loop.train_step
        loop = build_loop(session, train_step, start, self.augment, record.rollbacks)
        self.trainer.go_on_from(start, loop)

    def wait_for_all_workers(self) -> None:
        """Keeps every process until the last one is here: the chief may still be writing."""
        any_worker(self.session.strategy, False)

    def close(self) -> None:
        """Ends what is being written, and gives the run's folder back."""
        with self.held:
            self.saver.wait()


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
    with contextlib.ExitStack() as held:
        check = None
        with fail_together(session.strategy):
            if session.is_chief:
                check = held.enter_context(RunLock(session.folder)).check
        training = _prepare(session, check, augment)
        training.held = held.pop_all()
    return training


def _prepare(session: Session, check: Callable[[], None] | None, augment) -> Training:
    config = session.config
    record = RunRecord(session, augment)
    with fail_together(session.strategy):
        profiler = StepProfiler(_profiled_steps(config.train), session.folder.file("train"))
        changes = record.check(config.allow_config_change)
        if not changes:  # else it is another run from here on
            _check_order(session)
    steps_per_epoch = session.source.num_train_images / config.data.train_batch_size
    schedule = build_schedule(
        config.optimizer, config.data.train_batch_size, steps_per_epoch, config.train.train_steps
    )
    train_step, report, memory = build_step(session, schedule)
    ema = train_step.ema
    saver = CheckpointSaver(
        session.folder.path,
        session.model,
        train_step.optimizer,
        ema,
        _keeping(config.train, steps_per_epoch),
        check,
        config.train.use_async_checkpointing and session.is_chief,
    )
    start = saver.restore_in_all_workers(session.strategy)
    if session.is_chief:
        announce(session, start, report, profiler.steps)
        session.say(*changes)
        say_memory(session, memory)
        _claim(session, record, start)
        show_beginning(session, start, augment)
    trainer = Trainer(
        build_loop(session, train_step, start, augment, record.rollbacks),
        config.train,
        saver if session.is_chief else None,
        TrainingCurves(session.summaries, steps_per_epoch, schedule, ema and ema.decay_after),
        session.verbose,
        profiler if session.is_chief else None,
    )
    return Training(session, trainer, start, ema, memory, saver, record, augment)


def _keeping(train: TrainConfig, steps_per_epoch: float) -> Keeping:
    epochs = train.keep_checkpoint_every_epochs
    return Keeping(train.keep_checkpoint_max, epochs and epochs * steps_per_epoch)


def _claim(session: Session, record: RunRecord, start: int) -> None:
    """Writes down what the run is."""
    session.folder.claim(
        session.network,
        session.config.train.loss,
        session.config.flags_text,
        session.source.label_names,
        _order_version(session.source),
    )
    record.begin(start)


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


def _profiled_steps(config: TrainConfig) -> range:
    steps = step_range(config.profile_steps)
    if steps and steps[-1] > config.train_steps:
        raise UserError(f"--profile_steps={config.profile_steps} ends after the last step, "
                        f"{config.train_steps}; see --train_steps")  # fmt: skip
    return steps
