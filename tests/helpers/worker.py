"""One of several worker processes; TF_CONFIG says which. Prints what it measured as JSON.

The arguments are an empty folder that all workers share and one that only this worker sees.
"""

import json
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from efficientnet_tf.config import DistributionConfig, TrainConfig, UserError  # noqa: E402
from efficientnet_tf.train import trainer as trainer_module  # noqa: E402
from efficientnet_tf.train.agreement import (  # noqa: E402
    any_worker,
    chief_value,
    fail_together,
    require_equal,
)
from efficientnet_tf.train.checkpoint import CheckpointSaver, Keeping  # noqa: E402
from efficientnet_tf.train.curves import TrainingCurves  # noqa: E402
from efficientnet_tf.train.distribute import choose_strategy, is_chief  # noqa: E402
from efficientnet_tf.train.trainer import Trainer  # noqa: E402

TRAIN_STEPS = 24


def error_of(function, *arguments) -> str | None:
    """The message of the `UserError` that the call raises."""
    try:
        function(*arguments)
    except UserError as error:
        return str(error)


def agreements(strategy, second: bool) -> dict:
    """What the workers exchange; `second` is True in the worker that is not the chief."""

    def fail_in_second():
        with fail_together(strategy):
            if second:
                raise UserError("only here")

    return {
        "any_worker": [any_worker(strategy, second), any_worker(strategy, False)],
        "chief_value": [chief_value(strategy, 7 if second else 2**53 + 1)],
        "fail_together": error_of(fail_in_second),
        "require_equal": error_of(require_equal, strategy, {"train_steps": 2 if second else 3}),
    }


class Losses:
    """Stands in for `Summaries` and keeps the losses."""

    def __init__(self):
        self.values = []

    def scalars(self, part, step, values):
        self.values.append(values["loss/loss"])

    def flush(self):
        pass


def train_with_a_slow_clock(strategy, slow: bool) -> dict:
    """Calls cut by time, in workers whose clocks disagree by a factor of three."""
    from helpers.toy import NO_DROPOUT, toy_loop, toy_step

    pace = 3 if slow else 1
    trainer_module.time = SimpleNamespace(perf_counter=lambda: pace * time.perf_counter())
    trainer_module._MAX_CALL_SECONDS, trainer_module._FIRST_STEPS = 1.0, 1
    config = TrainConfig(train_steps=TRAIN_STEPS)
    step = toy_step(strategy, **NO_DROPOUT)
    loop = toy_loop(strategy, step, max_steps=config.iterations_per_loop)
    calls, run = [], loop.run
    loop.run = lambda steps: (calls.append(steps), run(steps))[1]
    losses = Losses()
    curves = TrainingCurves(losses, steps_per_epoch=10, schedule=lambda _: 0.0)
    trainer = Trainer(loop, config, None, curves, verbose=False)
    assert list(trainer.segments()) == [TRAIN_STEPS]
    return {"calls": calls, "losses": losses.values}


def restore(strategy, shared: str, own: str, second: bool) -> dict:
    """Starting from a checkpoint that all workers see, and from one that only the chief sees."""
    from helpers.toy import toy_step

    step = toy_step(strategy)
    step.optimizer.iterations.assign(2)
    for folder in (shared, own):
        if not second:
            CheckpointSaver(folder, step.model, step.optimizer, step.ema, Keeping(3)).save(2)
    any_worker(strategy, False)
    saved = [
        CheckpointSaver(folder, step.model, step.optimizer, step.ema, Keeping(3))
        for folder in (shared, own)
    ]
    return {
        "shared": saved[0].restore_in_all_workers(strategy),
        "own": error_of(saved[1].restore_in_all_workers, strategy),
    }


def main(shared: str, own: str) -> None:
    strategy = choose_strategy(DistributionConfig())
    from helpers.toy import NO_DROPOUT, toy_loop, toy_step

    step = toy_step(strategy, strategy.num_replicas_in_sync, **NO_DROPOUT)
    losses = [row["loss"] for row in toy_loop(strategy, step).run(3)]
    second = strategy.cluster_resolver.task_id == 1
    result = {
        "strategy": type(strategy).__name__,
        "replicas": strategy.num_replicas_in_sync,
        "chief": is_chief(strategy),
        "losses": losses,
        "agreements": agreements(strategy, second),
        "restored": restore(strategy, shared, own, second),
        "trained": train_with_a_slow_clock(strategy, second),
    }
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
