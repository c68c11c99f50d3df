"""What one invocation builds: devices, data, network, and the folder it writes to."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator

import keras
import tensorflow as tf

from efficientnet_tf import data
from efficientnet_tf.config import RunConfig, UserError
from efficientnet_tf.nn.freezing import freeze, freeze_batch_norm
from efficientnet_tf.nn.network import build_network
from efficientnet_tf.run.folder import RunFolder
from efficientnet_tf.run.initial_weights import InitialWeights
from efficientnet_tf.run.picture import captioned_grid
from efficientnet_tf.train import distribute
from efficientnet_tf.train.agreement import any_worker
from efficientnet_tf.train.checkpoint import CheckpointSaver
from efficientnet_tf.train.curves import TrainingCurves
from efficientnet_tf.train.ema import ExponentialMovingAverage
from efficientnet_tf.train.evaluator import Evaluator
from efficientnet_tf.train.loop import DeviceLoop
from efficientnet_tf.train.optimizer import build_optimizer
from efficientnet_tf.train.schedule import build_schedule
from efficientnet_tf.train.step import TrainStep
from efficientnet_tf.train.summaries import Summaries
from efficientnet_tf.train.trainer import Trainer

_IMAGES_SHOWN = 24


@contextlib.contextmanager
def explained(source, step: Callable[[], int] | None = None) -> Iterator[None]:
    """Turns what the data did wrong inside a graph into a `UserError` that names the file.

    Args:
      source: the data of the run.
      step: in training, where it stands.
    """
    try:
        yield
    except tf.errors.OpError as error:
        explanation = data.explain(error, source, step and step())
        if explanation is None:
            raise
        raise explanation from None


class Session:
    """The pieces of a run that training and evaluation share.

    Args:
      config: the run; `self.config` is the same with what data and weights decide filled in.
      training: whether the classifier follows the data (else it follows `init_checkpoint`).

    Raises:
      UserError: before the network is built, and before anything is written.
    """

    def __init__(self, config: RunConfig, training: bool):
        self.strategy = distribute.choose_strategy(config.distribution)
        self.is_chief = distribute.is_chief(self.strategy)
        self.train_share, self.eval_share = (
            distribute.per_replica_batch(self.strategy, getattr(config.data, name), name)
            for name in ("train_batch_size", "eval_batch_size")
        )
        self.weights = None
        if config.train.init_checkpoint:
            self.weights = InitialWeights.open(config.train.init_checkpoint, config.model.name)
            config = _follow_weights(config, self.weights, training)
        self.source = data.open_source(config.data)
        model = config.model.replace(
            num_classes=config.data.num_classes or self.source.num_classes,
            input_size=config.data.image_size,
        )
        self.config = config = dataclasses.replace(config, model=model)
        if model.num_classes > self.source.num_classes and self.is_chief:
            print(f"{model.num_classes} classes: 0 is the background, labels shift by one")
        self.folder = RunFolder(config.train.model_dir) if config.train.model_dir else None
        if self.folder:
            self.folder.check(model)
        self.summaries = Summaries(
            config.train.model_dir,
            bool(self.folder) and self.is_chief and not config.train.skip_host_call,
        )
        if distribute.uses_bfloat16(self.strategy, config.distribution):
            keras.config.set_dtype_policy("mixed_bfloat16")
        keras.utils.set_random_seed(config.train.seed)
        with self.strategy.scope():
            self.model = self._build_model()

    def _build_model(self):
        size = self.config.data.image_size
        return build_network(
            self.config.model, input_shape=(size, size, 3), classifier_activation=None
        )

    def distributed(self, make_dataset, batch_size: int, **arguments: object):
        """A dataset of the data room, each host reading its part."""

        def pipeline(context):
            return make_dataset(
                self.source,
                self.config.data,
                batch_size,
                shard_index=context.input_pipeline_id,
                shard_count=context.num_input_pipelines,
                **arguments,
            )

        return self.strategy.distribute_datasets_from_function(pipeline)

    def evaluator(self) -> Evaluator:
        """An evaluator of this session's model on the evaluation split."""
        return Evaluator(
            self.strategy,
            self.model,
            self.distributed(data.eval_dataset, self.eval_share),
            self.config.data.eval_batch_size,
            self.source.num_eval_images,
        )


def _follow_weights(config: RunConfig, weights: InitialWeights, training: bool) -> RunConfig:
    """What the weights were trained with, where no flag says otherwise."""
    model, changes = weights.adapt(config.model), {}
    for name, default in (
        ("image_size", model.input_size),
        ("resize_method", model.resize_method),
        ("num_classes", None if training else weights.num_classes),
    ):
        if name not in config.given and default:
            changes[name] = default
    return dataclasses.replace(
        config, model=model, data=dataclasses.replace(config.data, **changes)
    )


class TrainingSession(Session):
    """A session with an optimizer and an average, ready to train from where the run stands."""

    def __init__(self, config: RunConfig):
        super().__init__(config, training=True)
        config = self.config
        if not self.source.num_train_images:
            raise UserError(f"{config.data.dataset}: no training images are known; see "
                            "--data_dir and --num_train_images")  # fmt: skip
        self.steps_per_epoch = self.source.num_train_images / config.data.train_batch_size
        norm_replicas = distribute.batch_norm_group(
            config.optimizer.optimizer,
            self.strategy.num_replicas_in_sync,
            self.train_share,
            config.batch_norm_batch_size,
            config.train.batch_norm_replicas,
        )
        if config.train.freeze:
            freeze(self.model, config.train.freeze)
        if config.train.freeze_bn:
            freeze_batch_norm(self.model)
        self.schedule = build_schedule(
            config.optimizer,
            config.data.train_batch_size,
            self.steps_per_epoch,
            config.train.train_steps,
        )
        with self.strategy.scope():
            self.optimizer = build_optimizer(config.optimizer, self.schedule)
            self.optimizer.build(self.model.trainable_variables)
            self.ema, warm = None, None
            if self.weights:
                warm = self.weights.start(self.model)
            if decay := config.train.moving_average_decay:
                self.ema = ExponentialMovingAverage(self.model.weights, decay)
        self.checkpoints = CheckpointSaver(
            self.folder.path, self.model, self.optimizer, self.ema, config.train.keep_checkpoint_max
        )
        self.start = self.checkpoints.restore_in_all_workers(self.strategy)
        self.step = TrainStep(
            self.model,
            self.optimizer,
            self.ema,
            config.train,
            config.data.train_batch_size,
            norm_replicas,
        )
        if self.is_chief:
            self._announce(None if self.start else warm)
            self.folder.claim(config.model, config.flags_text, self.source.label_names)
            self._show_beginning()

    def _announce(self, warm):
        config, replicas = self.config, self.strategy.num_replicas_in_sync
        parameters = sum(v.shape.num_elements() for v in self.model.trainable_variables)
        lines = [
            f"{config.model.name}: {parameters:,} parameters, {config.data.image_size}x"
            f"{config.data.image_size}, {config.model.num_classes} classes",
            f"{config.data.dataset}: {self.source.num_train_images} training images, "
            f"{self.source.num_eval_images or 'an unknown number'} to evaluate",
            f"{config.train.train_steps} steps of {config.data.train_batch_size} on {replicas} "
            f"replica{'s' * (replicas > 1)} ({type(self.strategy).__name__.lstrip('_')}), "
            f"{f'from step {self.start}' if self.start else 'from the start'}",
            *([warm] if warm else []),
            f"results: {self.folder.path}",
        ]
        print("\n".join(lines), flush=True)

    def _show_beginning(self):
        """To TensorBoard: the flags, and the run's next images as the network will see them."""
        if not self.summaries.enabled:
            return
        flags = "\n".join(f"    {line}" for line in self.config.flags_text.splitlines())
        self.summaries.text("flags", flags)
        count = min(_IMAGES_SHOWN, self.config.data.train_batch_size)
        with explained(self.source, lambda: self.start):
            batches = data.train_dataset(
                self.source, self.config.data, count, start_step=self.start, report=False
            )
            batch = next(batches.as_numpy_iterator())
        names = self.source.label_names
        classes = batch["label"].argmax(-1)
        offset = batch["label"].shape[-1] - len(names) if names else 0
        captions = [names[c - offset] if names and c >= offset else str(c) for c in classes]
        self.summaries.image("first_batch", captioned_grid(batch["image"], captions), self.start)

    def all_workers_done(self) -> None:
        """Keeps every process until the last one is here: the chief is still writing."""
        any_worker(self.strategy, False)

    def trainer(self) -> Trainer:
        """Trains from `self.start`."""
        config = self.config.train
        self.loop = DeviceLoop(
            self.strategy,
            self.step,
            self.distributed(data.train_dataset, self.train_share, start_step=self.start),
            min(config.iterations_per_loop, config.steps_per_eval),
            config.log_step_count_steps,
        )
        checkpoints = self.checkpoints if self.is_chief else None
        curves = TrainingCurves(
            self.summaries, self.steps_per_epoch, self.schedule, config.moving_average_decay
        )
        return Trainer(self.loop, config, checkpoints, curves)
