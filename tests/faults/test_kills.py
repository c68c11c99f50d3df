"""A run that is killed again and again ends in the state of one that never was, to the bit.

`pytest tests/faults/test_kills.py -m slow --kills=100` for a long run.
"""

import itertools
import json
import random
import shutil
import socket
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from helpers.command import TINY, command
from helpers.killed_runs import PHASES, Attempt, kill_until_done
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from efficientnet_tf.weights.formats.run_checkpoint import RunCheckpoint, list_checkpoints
from efficientnet_tf.weights.formats.tensor_bundle import TensorBundle

pytestmark = pytest.mark.slow

STEPS = 30
FLAGS = [
    *TINY,
    f"--train_steps={STEPS}",
    "--steps_per_eval=6",
    "--keep_checkpoint_max=2",
]


def one_device(folder):
    return [command(*FLAGS, f"--model_dir={folder}")]


def two_replicas(folder):
    """Whose checkpoints are written in the background."""
    script = Path(__file__).parents[1] / "helpers" / "two_cpus.py"
    flags = [*FLAGS, "--distribution_strategy=mirrored", f"--model_dir={folder}"]
    flags.append("--use_async_checkpointing")
    return [[sys.executable, str(script), *flags]]


def two_workers(folder):
    sockets = [socket.socket() for _ in range(2)]
    for each in sockets:
        each.bind(("localhost", 0))
    hosts = ",".join(f"localhost:{each.getsockname()[1]}" for each in sockets)
    for each in sockets:
        each.close()
    flags = [*FLAGS, f"--model_dir={folder}", f"--worker_hosts={hosts}"]
    return [command(*flags, f"--task_index={index}") for index in range(2)]


def state(folder):
    """Every variable of the last checkpoint: weights, statistics, slots, averages, step."""
    prefix = list_checkpoints(str(folder))[0]
    assert prefix.endswith(f"-{STEPS}")
    names = RunCheckpoint(prefix).shapes
    assert {name.split("/")[0] for name in names} == {"model", "ema", "optimizer"}
    bundle = TensorBundle(prefix)
    variables = [key for key in bundle.shapes if key.endswith("VARIABLE_VALUE")]
    return {key: bundle.read(key) for key in variables if not key.startswith("save_counter")}


def losses(folder):
    """The loss of each step, the last one written for it."""
    found = {}
    for path in sorted((folder / "train").glob("events.*")):
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                if value.tag == "loss/loss":
                    found[event.step] = float(tf.make_ndarray(value.tensor))
    return found


def evaluations(folder):
    lines = [json.loads(line) for line in (folder / "eval.jsonl").read_text().splitlines()]
    return {line["step"]: line for line in lines}


def assert_equal_runs(one, other):
    first, second = state(one), state(other)
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], err_msg=name)
    assert evaluations(one) == evaluations(other)
    assert losses(one) == losses(other) and set(losses(one)) == set(range(1, STEPS + 1))


@pytest.mark.parametrize("make_commands", [one_device, two_replicas, two_workers])
@pytest.mark.fault(
    "Killed and stopped",
    "SIGKILL at any moment, in saving and evaluating too; one device, two replicas, two workers",
    "the next start goes on; state, losses, evaluations end as those of a whole run, to the bit",
)
def test_a_killed_run_ends_as_one_that_was_not(make_commands, tmp_path, request):
    kills, killed = request.config.getoption("kills"), Counter()
    draw = random.Random(kills)
    whole = tmp_path / "whole"
    Attempt(make_commands(whole)).finish()
    for number in itertools.count():  # a run is at its end after some kills
        broken = tmp_path / f"broken-{number}"
        resumed, phases = kill_until_done(
            make_commands, broken, STEPS, kills - killed.total(), draw
        )
        killed += phases
        assert not phases or max(resumed) > 0, resumed
        assert_equal_runs(whole, broken)
        assert not list(broken.glob("*_temp")) and not (broken / "lock.json").exists()
        print(f"killed {dict(phases)}, went on from {resumed}", flush=True)
        if killed.total() >= kills:
            break
        shutil.rmtree(broken)
    assert kills < 20 or set(killed) == set(PHASES), killed
