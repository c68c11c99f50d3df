"""Which weights a run goes on from or evaluates, and which folder is its own."""

import dataclasses
import os
import sys
from dataclasses import dataclass

import tensorflow as tf

from efficientnet_tf.config import DEFAULT_MODEL, RunConfig, UserError
from efficientnet_tf.run.polling import CheckpointWatch
from efficientnet_tf.train.distribute import is_chief
from efficientnet_tf.weights.formats.run_checkpoint import (
    list_checkpoints,
    open_newest_run,
)
from efficientnet_tf.weights.loading import open_weights
from efficientnet_tf.weights.opened import OpenedWeights


@dataclass(frozen=True)
class StartingPoint:
    """Where a run stands before it begins.

    Attributes:
      weights: None for fresh initialisation.
      is_own: `weights` are the run's own, from its folder.
      model_dir: the run's folder, None where nothing is kept.
      watch: where the run's later checkpoints are found that are evaluated too.
    """

    weights: OpenedWeights | None
    is_own: bool
    model_dir: str | None
    watch: CheckpointWatch | None = None


def to_train(config: RunConfig, afresh: bool = False) -> StartingPoint:
    """A run continues from its own checkpoints; only a new one opens `init_checkpoint`.

    Args:
      afresh: as if the run were a new one.
    """
    initial, model_dir = config.train.init_checkpoint, config.train.model_dir
    opened = None
    if not model_dir:
        if initial and not config.model_name:  # only the weights know what the folder is called
            opened = open_weights(initial)
        model_dir = default_model_dir(config, opened)
    if not afresh and list_checkpoints(model_dir):
        return StartingPoint(open_newest_run(model_dir), True, model_dir)
    if initial and not opened:
        opened = open_weights(initial, config.model_name)
    return StartingPoint(opened, False, model_dir)


def to_evaluate(config: RunConfig, strategy: tf.distribute.Strategy) -> StartingPoint:
    """A run's own checkpoint if `model_dir` has one, else `init_checkpoint`.

    The flags of a run name what it started from too, so a run that has checkpoints comes first.

    Raises:
      UserError: neither is there, or the run has checkpoints of which none can be read.
    """
    initial, model_dir = config.train.init_checkpoint, config.train.model_dir
    if not initial:
        model_dir = model_dir or default_model_dir(config)
    if model_dir:
        timeout = 0 if initial else config.train.eval_timeout or 0
        watch = CheckpointWatch(strategy, model_dir)
        if weights := watch.next(-1, timeout):
            if initial and is_chief(strategy):
                _say_what_is_evaluated(model_dir, initial)
            return StartingPoint(weights, True, model_dir, watch)
    if not initial:
        raise _no_checkpoint(model_dir)
    return StartingPoint(open_weights(initial, config.model_name), False, model_dir)


def to_predict(config: RunConfig) -> OpenedWeights:
    """The best checkpoint of the run in `model_dir` if it has any, else `init_checkpoint`.

    Raises:
      UserError: neither is there.
    """
    initial, model_dir = config.train.init_checkpoint, config.train.model_dir
    if model_dir and list_checkpoints(model_dir):
        if initial:
            _say_what_is_evaluated(model_dir, initial)
        return open_weights(model_dir)
    if not initial:
        raise _no_checkpoint(model_dir)
    return open_weights(initial, config.model_name)


def default_model_dir(config: RunConfig, weights: OpenedWeights | None = None) -> str:
    """The folder of a run that names none: `runs/<model>-<dataset>`."""
    name = config.model_name or (weights and weights.model_name) or DEFAULT_MODEL
    return os.path.join("runs", f"{name}-{config.data.source_name}")


def in_folder(config: RunConfig, model_dir: str | None) -> RunConfig:
    """`config` with the run's folder filled in."""
    return dataclasses.replace(config, train=dataclasses.replace(config.train, model_dir=model_dir))


def _no_checkpoint(model_dir) -> UserError:
    return UserError(
        f"--model_dir={model_dir} has no checkpoint; train first, or name one with "
        "--init_checkpoint"
    )


def _say_what_is_evaluated(model_dir, initial):
    print(
        f"note: {model_dir} has checkpoints of its own, and those are taken; without --model_dir "
        f"it would be --init_checkpoint={initial}",
        file=sys.stderr,
    )
