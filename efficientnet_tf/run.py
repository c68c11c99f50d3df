"""One invocation of the command line, from its configuration to its results."""

import dataclasses
import json
import time
from collections.abc import Iterator

import keras
import tensorflow as tf

from efficientnet_tf import data
from efficientnet_tf.config import RunConfig, UserError
from efficientnet_tf.evaluate import Evaluation, Evaluator
from efficientnet_tf.nn.network import build_network
from efficientnet_tf.picture import captioned_grid
from efficientnet_tf.run_folder import RunFolder
from efficientnet_tf.train import distribute
from efficientnet_tf.train.checkpoint import (
    RunCheckpoints,
    checkpoint_step,
    find_checkpoints,
    load_run_weights,
)
from efficientnet_tf.train.ema import ExponentialMovingAverage
from efficientnet_tf.train.loop import DeviceLoop
from efficientnet_tf.train.optimizer import build_optimizer
from efficientnet_tf.train.schedule import build_schedule
from efficientnet_tf.train.step import TrainStep
from efficientnet_tf.train.summaries import Summaries
from efficientnet_tf.train.trainer import Trainer
from efficientnet_tf.weights.tf1_checkpoint import TF1Checkpoint, load_tf1_checkpoint

_POLL_SECONDS = 10
_IMAGES_SHOWN = 24


def execute(config: RunConfig) -> None:
    """Does what `config.mode` says.

    Raises:
      UserError: anything the person at the keyboard can mend.
    """
    {"train": train, "eval": evaluate, "train_and_eval": train_and_evaluate}[config.mode](config)


def train(config: RunConfig) -> None:
    """Trains to the last step."""
    session = Session(config)
    for _ in session.trainer().segments():
        pass
    session.finish()


def train_and_evaluate(config: RunConfig) -> None:
    """Trains to the last step and evaluates the averaged weights on the way."""
    session = Session(config)
    trainer, evaluator = session.trainer(), session.evaluator()
    result = None
    for step in trainer.segments():
        with session.averaged_weights():
            evaluation = evaluator.evaluate()
        result = session.record(step, "ema" if session.ema else "raw", evaluation)
    session.finish()
    if result:
        print(json.dumps(result), flush=True)


def evaluate(config: RunConfig) -> None:
    """Evaluates `init_checkpoint`, or the run's newest checkpoint and those that follow it."""
    session = Session(config)
    evaluator = session.evaluator()
    for step, weights in session.weights_to_evaluate():
        result = session.record(step, weights, evaluator.evaluate())
        print(json.dumps(result), flush=True)


class Session:
    """What one invocation builds: devices, data, network; and the folder it writes to."""

    def __init__(self, config: RunConfig):
        self.strategy = distribute.choose_strategy(config.distribution)
        self.is_chief = distribute.is_chief(self.strategy)
        self._check_batches(config)
        self.source = data.open_source(config.data)
        model = config.model.replace(num_classes=config.data.num_classes or self.source.num_classes)
        self.config = config = dataclasses.replace(config, model=model)
        self.folder = RunFolder(config.train.model_dir) if config.train.model_dir else None
        if self.folder:
            self.folder.check(model)
        self.summaries = Summaries(
            config.train.model_dir, self.is_chief and not config.train.skip_host_call
        )
        self.optimizer = self.ema = None
        self.steps_per_epoch = (self.source.num_train_images or 0) / config.data.train_batch_size
        if distribute.uses_bfloat16(self.strategy, config.distribution):
            keras.config.set_dtype_policy("mixed_bfloat16")
        keras.utils.set_random_seed(config.train.seed)
        with self.strategy.scope():
            self.model = self._build_model()

    def _check_batches(self, config):
        self._train_share, self._eval_share = (
            distribute.per_replica_batch(self.strategy, getattr(config.data, name), name)
            for name in ("train_batch_size", "eval_batch_size")
        )

    def _build_model(self):
        size = self.config.data.image_size
        return build_network(
            self.config.model, input_shape=(size, size, 3), classifier_activation=None
        )

    # Training.

    def trainer(self) -> Trainer:
        """Everything in place to train from the run's newest checkpoint, or from the start."""
        config = self.config
        if not self.steps_per_epoch:
            raise UserError("how many training images there are is unknown: --num_train_images")
        with self.strategy.scope():
            self._build_training_state()
        checkpoints = RunCheckpoints(
            self.folder.path, self.model, self.optimizer, self.ema, config.train.keep_checkpoint_max
        )
        start = checkpoints.restore_latest()
        self._announce(start)
        if self.is_chief:
            self.folder.claim(config.model, config.flags_text, self.source.label_names)
            self._log_run(start)
        step = TrainStep(
            self.model,
            self.optimizer,
            self.ema,
            config.train,
            config.data.train_batch_size,
            self._batch_norm_replicas(),
        )
        loop = DeviceLoop(
            self.strategy,
            step,
            self._distributed(data.train_dataset, self._train_share, start_step=start),
            min(config.train.iterations_per_loop, config.train.steps_per_eval),
            config.train.log_step_count_steps,
        )
        return Trainer(
            loop,
            config.train,
            checkpoints if self.is_chief else None,
            self.summaries,
            self.steps_per_epoch,
        )

    def _build_training_state(self):
        """Optimizer and average; the network's weights from `init_checkpoint` if one is named."""
        config = self.config
        if config.train.init_checkpoint:
            load_weights(self.model, config.train.init_checkpoint)
        schedule = build_schedule(
            config.optimizer,
            config.data.train_batch_size,
            self.steps_per_epoch,
            config.train.train_steps,
        )
        self.optimizer = build_optimizer(config.optimizer, schedule)
        self.optimizer.build(self.model.trainable_variables)
        if config.train.moving_average_decay:
            self.ema = ExponentialMovingAverage(
                self.model.weights, config.train.moving_average_decay
            )

    def _batch_norm_replicas(self):
        """Replicas that share batch-norm statistics: asked for, LARS's groups, or the original's
        rule."""
        config, replicas = self.config, self.strategy.num_replicas_in_sync
        wanted = config.train.batch_norm_replicas
        if wanted is None and config.optimizer.optimizer == "lars":
            wanted = min(replicas, max(1, config.batch_norm_batch_size // self._train_share))
        if wanted is None:
            wanted = distribute.batch_norm_replicas(replicas)
        if not 1 <= wanted <= replicas or replicas % wanted:
            raise UserError(
                f"--batch_norm_replicas={wanted} must divide the {replicas} replicas of this run"
            )
        return wanted

    def _distributed(self, make_dataset, batch_size, **arguments):
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

    def _announce(self, start):
        config, replicas = self.config, self.strategy.num_replicas_in_sync
        if not self.is_chief:
            return
        parameters = sum(v.shape.num_elements() for v in self.model.trainable_variables)
        print(
            f"{config.model.name}: {parameters:,} parameters, {config.data.image_size}x"
            f"{config.data.image_size}, {config.model.num_classes} classes\n"
            f"{config.data.dataset}: {self.source.num_train_images} training images, "
            f"{self.source.num_eval_images} to evaluate\n"
            f"{config.train.train_steps} steps of {config.data.train_batch_size} on {replicas} "
            f"replica{'s' * (replicas > 1)} ({type(self.strategy).__name__}), "
            f"{'from step ' + str(start) if start else 'from the start'}\n"
            f"results: {self.folder.path}",
            flush=True,
        )

    def _log_run(self, start):
        """The flags, and the run's next images as the network will see them."""
        if not self.summaries.enabled:
            return
        flags = "\n".join(f"    {line}" for line in self.config.flags_text.splitlines())
        self.summaries.text("flags", flags)
        count = min(_IMAGES_SHOWN, self.config.data.train_batch_size)
        batches = data.train_dataset(self.source, self.config.data, count, start_step=start)
        batch = next(batches.as_numpy_iterator())
        names = self.source.label_names
        classes = batch["label"].argmax(-1)
        offset = batch["label"].shape[-1] - len(names) if names else 0
        captions = [names[c - offset] if names and c >= offset else str(c) for c in classes]
        self.summaries.image("first_batch", captioned_grid(batch["image"], captions), start)

    # Evaluation.

    def evaluator(self) -> Evaluator:
        """An evaluator of this session's model on the evaluation split."""
        return Evaluator(
            self.strategy,
            self.model,
            self._distributed(data.eval_dataset, self._eval_share),
            self.config.data.eval_batch_size,
            self.source.num_eval_images,
        )

    def averaged_weights(self):
        """A context in which the model has its averaged weights."""
        return self.ema.applied() if self.ema else tf.distribute.get_strategy().scope()

    def weights_to_evaluate(self) -> Iterator[tuple[int, str]]:
        """Loads one set of weights after the other and says which: `(step, "ema" | "raw")`."""
        if self.config.train.init_checkpoint:
            yield load_weights(self.model, self.config.train.init_checkpoint)
            return
        done, total = -1, self.config.train.train_steps
        while done < total:
            prefix = self._next_checkpoint(done)
            if prefix is None:
                return
            done = checkpoint_step(prefix)
            yield done, load_run_weights(self.model, prefix)

    def _next_checkpoint(self, done):
        """The newest checkpoint after step `done`, waited for as long as `eval_timeout` allows."""
        timeout = self.config.train.eval_timeout or 0
        deadline = time.monotonic() + timeout
        while True:
            prefixes = find_checkpoints(self.folder.path)
            if prefixes and checkpoint_step(prefixes[0]) > done:
                return prefixes[0]
            if time.monotonic() >= deadline:
                break
            time.sleep(min(_POLL_SECONDS, timeout))
        if done < 0:
            raise UserError(
                f"--model_dir={self.folder.path} has no checkpoint; train first, or name one with "
                "--init_checkpoint"
            )
        return None

    # Results.

    def record(self, step: int, weights: str, evaluation: Evaluation) -> dict:
        """Writes an evaluation down everywhere it belongs and returns it as the JSON object."""
        result = {"step": step, **dataclasses.asdict(evaluation), "weights": weights}
        rate = result.pop("images_per_second")
        if not self.is_chief or not self.folder:
            return result
        self.folder.append_result(result)
        part = "-".join(filter(None, ("eval", self.config.train.eval_name)))
        scalars = {name: result[name] for name in ("top_1_accuracy", "top_5_accuracy", "loss")}
        self.summaries.scalars(part, step, {**scalars, "images_per_second": rate})
        self.summaries.flush()
        prefixes = {checkpoint_step(p): p for p in find_checkpoints(self.folder.path)}
        best = False
        if self.config.train.archive_ckpt and step in prefixes:
            best = self.folder.archive(prefixes[step], result)
        print(
            f"step {step}: top-1 {evaluation.top_1_accuracy:.2%}, top-5 "
            f"{evaluation.top_5_accuracy:.2%} of {evaluation.num_images} images, loss "
            f"{evaluation.loss:.4f} ({weights} weights){', best so far' * best}",
            flush=True,
        )
        return result

    def finish(self) -> None:
        """Closes a training run: its export, and how to look at it."""
        if not self.is_chief:
            return
        if self.config.export_dir:
            with self.averaged_weights():
                self.model.export(self.config.export_dir, verbose=False)
        print(f"curves: tensorboard --logdir {self.folder.path}", flush=True)


def load_weights(model: keras.Model, path: str) -> tuple[int, str]:
    """Sets a model's weights from a run's folder or checkpoint, or a TF1 one.

    Returns:
      The checkpoint's step, and `"ema"` or `"raw"`: which of its weights were taken.
    """
    runs = find_checkpoints(path) or ([path] if path.rsplit("/", 1)[-1].startswith("ckpt-") else [])
    if runs:
        return checkpoint_step(runs[0]), load_run_weights(model, runs[0])
    checkpoint = TF1Checkpoint(path)
    load_tf1_checkpoint(model, path)
    return checkpoint.step, "ema" if checkpoint.has_ema else "raw"
