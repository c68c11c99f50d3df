"""A run that is killed again and again ends in the state of one that never was, to the bit.

`pytest tests/faults/test_kills.py -m slow --kills=100` for a long run. The moments are counted from
the first training step of each process: a kill while TensorFlow starts would prove nothing.
"""

import json
import random
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from helpers.command import ROOT, TINY, command
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


class Attempt:
    """The processes of one start of a run; the chief's output line by line."""

    def __init__(self, commands):
        self._processes = [
            subprocess.Popen(
                words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
            for words in commands
        ]
        self.lines, self._training = [], threading.Event()
        self._readers = [
            threading.Thread(target=self._read, args=(process, index == 0))
            for index, process in enumerate(self._processes)
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, process, is_chief):
        for line in process.stdout:
            if is_chief:
                self.lines.append(line.rstrip())
                if line.startswith("train step"):
                    self._training.set()

    def kill_after(self, seconds, is_ready) -> bool:
        """Kills all processes so long after the first step; whether they were still at it."""
        while not (self._training.wait(0.05) and is_ready()):
            assert self._processes[0].poll() is None, "\n".join(self.lines)
        time.sleep(seconds)
        caught = all(process.poll() is None for process in self._processes)
        for process in self._processes:
            process.kill()
        self._end()
        return caught

    def finish(self):
        status = self._end(timeout=300)
        assert status == [0] * len(status), "\n".join(self.lines)

    def _end(self, timeout=30):
        try:
            status = [process.wait(timeout) for process in self._processes]
        finally:
            for process in self._processes:
                process.kill()
        for reader in self._readers:
            reader.join()
        return status

    @property
    def resumed_from(self) -> int:
        """The step it went on from, 0 for the start."""
        found = re.search(r"from step (\d+)", "\n".join(self.lines))
        return int(found[1]) if found else 0


def killed_run(make_commands, folder, kills, seed):
    """Trains to the end through so many kills; the steps that it went on from."""
    draw, resumed, caught = random.Random(seed), [], 0

    def is_ready():
        """Something is there to go on from; later kills may come before anything new is saved."""
        return bool(resumed or list_checkpoints(str(folder)))

    while caught < kills:
        attempt = Attempt(make_commands(folder))
        caught += attempt.kill_after(draw.uniform(0, 2.0), is_ready)
        before = resumed[-1] if resumed else 0
        assert attempt.resumed_from >= before, "a later start began earlier"
        resumed.append(attempt.resumed_from)
        newest = [int(prefix.rpartition("-")[2]) for prefix in list_checkpoints(str(folder))]
        if newest and newest[0] == STEPS:
            break  # only the rest of the last evaluation could still be killed
    attempt = Attempt(make_commands(folder))
    attempt.finish()
    return [*resumed, attempt.resumed_from], caught


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
    kills = request.config.getoption("kills")
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    Attempt(make_commands(whole)).finish()
    resumed, caught = killed_run(make_commands, broken, kills, seed=kills)
    assert caught and max(resumed) > 0, resumed
    assert_equal_runs(whole, broken)
    assert not list(broken.glob("*_temp")) and not (broken / "lock.json").exists()
    print(f"{caught} kills, went on from {resumed}")
