"""The modes of the command line."""

import contextlib
import dataclasses
import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from efficientnet_tf import data
from efficientnet_tf.arch import summary
from efficientnet_tf.arch.variants import model_config
from efficientnet_tf.config import RunConfig, UserError
from efficientnet_tf.nn.network import build_network
from efficientnet_tf.run.initial_weights import InitialWeights
from efficientnet_tf.run.picture import captioned_grid
from efficientnet_tf.run.predict import Predictor
from efficientnet_tf.run.session import Session, TrainingSession, explained
from efficientnet_tf.train.checkpoint import checkpoint_step, find_checkpoints, load_run_weights
from efficientnet_tf.train.evaluator import Evaluation
from efficientnet_tf.weights.conversion import convert, write_weights

_POLL_SECONDS = 10
_IMAGES_SHOWN = 8


def execute(config: RunConfig) -> None:
    """Does what `config.mode` says.

    Raises:
      UserError: anything the person at the keyboard can mend.
    """
    modes = {
        "train": _train,
        "eval": _evaluate,
        "train_and_eval": _train_and_evaluate,
        "predict": _predict,
        "convert": _convert,
        "summary": _summarise,
    }
    try:
        modes[config.mode](config)
    except (tf.errors.PermissionDeniedError, tf.errors.FailedPreconditionError) as error:
        raise UserError(error.message.splitlines()[0]) from None


def _train(config: RunConfig) -> None:
    session = TrainingSession(config)
    trainer = session.trainer()
    with explained(session.source, lambda: trainer.step):
        for _ in trainer.segments():
            pass
    _finish(session)


def _train_and_evaluate(config: RunConfig) -> None:
    session = TrainingSession(config)
    trainer, evaluator, result = session.trainer(), session.evaluator(), None
    with explained(session.source, lambda: trainer.step):
        for step in itertools.chain(_missed_evaluation(session), trainer.segments()):
            with _averaged(session), explained(session.source):
                evaluation = evaluator.evaluate()
            weights = "ema" if session.ema else "raw"
            result = _record(session, step, weights, evaluation, own=True)
    _finish(session)
    if result and session.is_chief:
        print(json.dumps(result), flush=True)


def _missed_evaluation(session: TrainingSession) -> list[int]:
    """The step the run stands at, if it was saved for an evaluation that never came."""
    config, start = session.config.train, session.start
    due = start and (start % config.steps_per_eval == 0 or start >= config.train_steps)
    return [start] if due and start not in session.folder.evaluated_steps() else []


def _averaged(session: TrainingSession):
    """A context in which the model has its averaged weights, if the run keeps an average."""
    return session.ema.applied() if session.ema else contextlib.nullcontext()


def _finish(session: TrainingSession) -> None:
    """The end of a training run: its export, and how to look at it."""
    if not session.is_chief:
        session.all_workers_done()
        return
    if export_dir := session.config.export_dir:
        with _averaged(session):
            session.model.export(export_dir, verbose=False)
    session.all_workers_done()
    print(f"curves: tensorboard --logdir {session.folder.path}", flush=True)


def _evaluate(config: RunConfig) -> None:
    session = Session(config, training=False)
    evaluator = session.evaluator()
    for step, weights in _weights_to_evaluate(session):
        with explained(session.source):
            evaluation = evaluator.evaluate()
        result = _record(session, step, weights, evaluation, own=not session.weights)
        if session.is_chief:
            print(json.dumps(result), flush=True)


def _weights_to_evaluate(session: Session) -> Iterator[tuple[int, str]]:
    """Loads one set of weights after the other and says which: `(step, "ema" | "raw")`.

    `init_checkpoint`, or the run's newest checkpoint and, within `eval_timeout`, those after it.
    """
    config = session.config
    if session.weights:
        yield session.weights.load(session.model)
        return
    done = -1
    while done < config.train.train_steps:
        prefix = _next_checkpoint(session.folder.path, done, config.train.eval_timeout or 0)
        if prefix is None and done < 0:
            raise UserError(
                f"--model_dir={session.folder.path} has no checkpoint; train first, or name one "
                "with --init_checkpoint"
            )
        if prefix is None:
            return
        done = checkpoint_step(prefix)
        yield done, load_run_weights(session.model, prefix)


def _next_checkpoint(folder: str, done: int, timeout: int) -> str | None:
    """The newest checkpoint after step `done`, waited for `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        prefixes = find_checkpoints(folder)
        if prefixes and checkpoint_step(prefixes[0]) > done:
            return prefixes[0]
        if time.monotonic() >= deadline:
            return None
        time.sleep(min(_POLL_SECONDS, timeout))


def _record(session: Session, step: int, weights: str, evaluation: Evaluation, own: bool) -> dict:
    """Writes an evaluation down everywhere it belongs and returns it as the JSON object.

    Only the run's `own` checkpoints, on its usual evaluation split, compete for the archive.
    """
    result = {"step": step, **dataclasses.asdict(evaluation), "weights": weights}
    rate = result.pop("images_per_second")
    if not session.is_chief:
        return result
    best, folder, config = False, session.folder, session.config.train
    if folder:
        folder.append_result(result)
        part = "-".join(filter(None, ("eval", config.eval_name)))
        scalars = {
            "accuracy/top_1": evaluation.top_1_accuracy,
            "accuracy/top_5": evaluation.top_5_accuracy,
            "loss/cross_entropy": evaluation.loss,
            "run/images_per_second": rate,
        }
        session.summaries.scalars(part, step, scalars)
        session.summaries.flush()
        prefixes = {checkpoint_step(p): p for p in find_checkpoints(folder.path)}
        if own and config.archive_ckpt and not config.eval_name and step in prefixes:
            best = folder.archive(prefixes[step], result)
    print(
        f"step {step}: top-1 {evaluation.top_1_accuracy:.2%}, top-5 "
        f"{evaluation.top_5_accuracy:.2%} of {evaluation.num_images} images, loss "
        f"{evaluation.loss:.4f} ({weights} weights){', best so far' * best}",
        flush=True,
    )
    return result


def _predict(config: RunConfig) -> None:
    predictor = Predictor(config)
    predictor.predict(config.arguments, config.output_json)


def _convert(config: RunConfig) -> None:
    """A run's averaged weights, or any file of weights, in another format."""
    if not config.train.init_checkpoint or len(config.arguments) != 1:
        raise UserError("--mode=convert needs --init_checkpoint and one argument, the target")
    target, model = config.arguments[0], config.model
    weights = InitialWeights.open(config.train.init_checkpoint, model.name)
    if weights.run:
        model = weights.adapt(model).replace(num_classes=weights.num_classes)
        network = build_network(model)
        weights.load(network)
        write_weights(network, model, Path(target))
    else:
        published = vars(model_config(model.name))
        changed = {name: value for name, value in vars(model).items() if value != published[name]}
        model = convert(model.name, config.train.init_checkpoint, target, **changed)
    print(f"{target}: {model.name}, {model.num_classes} classes", flush=True)


def _summarise(config: RunConfig) -> None:
    """The network's stages and the family it belongs to; with a data set named, a picture too."""
    side = config.data.image_size
    print(f"{config.model.name}, {side} x {side} pixels\n")
    print(summary.stage_table(config.model, (side, side, 3)))
    print(f"\n{summary.family_table()}")
    if "dataset" not in config.given:
        return
    source = data.open_source(config.data)
    plain = dataclasses.replace(
        config.data, augment_name=None, mixup_alpha=0.0, cutmix_alpha=0.0, random_erasing=0.0
    )
    with explained(source, lambda: 0):
        batch = next(data.train_dataset(source, plain, _IMAGES_SHOWN).as_numpy_iterator())
    policies = {
        "AutoAugment": data.AutoAugment(),
        "RandAugment": data.RandAugment(
            config.data.randaug_num_layers, config.data.randaug_magnitude
        ),
    }
    images = np.clip(batch["image"], 0, 255).astype(np.uint8)
    picture = captioned_grid(*data.gallery(images, policies), columns=_IMAGES_SHOWN)
    path = f"{config.train.model_dir}/augmentation.png"
    tf.io.gfile.makedirs(config.train.model_dir)
    tf.io.write_file(path, tf.io.encode_png(picture))
    print(f"\naugmentation: {path}")
