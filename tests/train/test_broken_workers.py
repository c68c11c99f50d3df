"""Runs of two processes of which one is killed, stopped or asked to end.

The other ends by itself with one line; then both are started again and go on.
"""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest
import tensorflow as tf
from helpers.command import ROOT, TINY, command, two_processes

from efficientnet_tf.train.lost_worker import lost_worker_explained
from efficientnet_tf.weights.formats.run_checkpoint import checkpoint_step, list_checkpoints

pytestmark = pytest.mark.slow

# A heartbeat is missed after 10 s; the rest is for the name of the worker and for ending.
KILLED_SECONDS, HUNG_SECONDS = 30, 60


@pytest.fixture(autouse=True)
def log_level_of_a_user(monkeypatch):
    """The tests' own level would hide what the command must keep off the terminal."""
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)


def free_ports():
    with contextlib.ExitStack() as open_ones:
        sockets = [open_ones.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in "ab"]
        return [s.getsockname()[1] for s in sockets]


def arguments(run, hosts, *more):
    """Of each worker: a checkpoint every two steps and no evaluations."""
    common = [*TINY, "--mode=train", f"--model_dir={run}", f"--worker_hosts={hosts}", *more]
    return [[*common, f"--task_index={index}"] for index in range(2)]


class Workers:
    """Two processes that train in `folder / "run"`, their output in files beside it."""

    def __init__(self, folder, *more):
        self.folder, self.run = folder, folder / "run"
        self.hosts = [f"127.0.0.1:{port}" for port in free_ports()]
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
        self.processes = []
        for index, line in enumerate(arguments(self.run, ",".join(self.hosts), *more)):
            with self.file("out", index).open("w") as out, self.file("err", index).open("w") as err:
                process = subprocess.Popen(command(*line), env=environment, stdout=out, stderr=err)
                self.processes.append(process)

    def file(self, kind, index):
        return self.folder / f"{kind}{index}.txt"

    def __enter__(self):
        try:
            deadline = time.monotonic() + 200
            while not list_checkpoints(str(self.run)):
                ended = [p.poll() is not None for p in self.processes]
                assert not any(ended), self.file("err", ended.index(True)).read_text()
                assert time.monotonic() < deadline, "no checkpoint"
                time.sleep(0.1)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.wait()

    def send(self, index, number):
        self.processes[index].send_signal(number)

    def end(self, index, seconds):
        """Status and error lines of a worker that must end by itself."""
        status = self.processes[index].wait(seconds)
        return status, own(self.file("err", index).read_text()).splitlines()


def own(stderr):
    """What is ours: TensorFlow 2.20 says at every log level that its server has started."""
    if not tf.__version__.startswith("2.20."):
        return stderr
    first = "WARNING: All log messages before absl::InitializeLog"
    return re.sub(rf"(?m)^({first}|I\d{{4}} .*\] Started server with target).*\n", "", stderr)


def newest(run):
    return checkpoint_step(list_checkpoints(str(run))[0])


def assert_goes_on(run, step):
    hosts = ",".join(f"127.0.0.1:{port}" for port in free_ports())
    more = [(line, {}) for line in arguments(run, hosts, f"--train_steps={step + 2}")]
    first, second = two_processes([], more)
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert f"from step {step}\n" in first.stdout
    assert newest(run) == step + 2
    assert own(second.stderr) == ""
    # The first one may say that it takes over the lock of a killed one.
    assert re.fullmatch(r"(note: .* its lock is taken over\n)?", own(first.stderr))


def says(worker, run):
    address = re.escape(worker)
    return (
        rf"error: {address} is gone or hung; the checkpoint of step {newest(run)} is intact: start "
        "all workers again to go on from it"
    )


@pytest.mark.parametrize("killed", [0, 1])
@pytest.mark.fault(
    "Several workers",
    "a worker is killed, the first one too",
    "the others end within 30 s with one line that names it; a new start goes on",
)
def test_a_killed_worker_ends_the_other(tmp_path, killed):
    with Workers(tmp_path) as workers:
        workers.send(killed, signal.SIGKILL)
        status, (line,) = workers.end(1 - killed, KILLED_SECONDS)
    assert status == 1
    assert re.fullmatch(says(f"worker {killed} ({workers.hosts[killed]})", workers.run), line)
    assert_goes_on(workers.run, newest(workers.run))


@pytest.mark.parametrize("hung", [0])
@pytest.mark.fault(
    "Several workers",
    "a worker hangs (SIGSTOP)",
    "the others end within 60 s with such a line, and it too once it wakes",
)
def test_a_hung_worker_ends_the_other_and_then_itself(tmp_path, hung):
    with Workers(tmp_path) as workers:
        workers.send(hung, signal.SIGSTOP)
        status, (line,) = workers.end(1 - hung, HUNG_SECONDS)
        assert status == 1
        assert re.fullmatch(says(f"worker {hung} ({workers.hosts[hung]})", workers.run), line)
        workers.send(hung, signal.SIGCONT)
        status, (line,) = workers.end(hung, HUNG_SECONDS)
    assert status == 1
    # The first worker keeps the list of who lives; another can only find that one gone.
    own = "error: this worker gave no sign of life"
    assert line.startswith(f"error: worker 0 ({workers.hosts[0]}) is gone" if hung else own)
    assert_goes_on(workers.run, newest(workers.run))


@pytest.mark.parametrize("asked", [1])
@pytest.mark.fault(
    "Several workers",
    "one worker gets SIGTERM",
    "all save the same step and end with status 42",
)
def test_workers_stop_at_the_same_step_when_one_is_asked_to(tmp_path, asked):
    with Workers(tmp_path) as workers:
        workers.send(asked, signal.SIGTERM)
        ends = [workers.end(index, KILLED_SECONDS) for index in range(2)]
    step = newest(workers.run)
    assert [status for status, _ in ends] == [42, 42]
    stopped = f"error: stopped at step {step}, saved; run again to continue"
    assert [lines[-1] for _, lines in ends] == [stopped, stopped]
    assert ends[1 - asked][1] == [stopped]
    assert_goes_on(workers.run, step)


BUSY = """
import ctypes, sys
from efficientnet_tf.config import DistributionConfig
from efficientnet_tf.train.agreement import any_worker
from efficientnet_tf.train.distribute import choose_strategy

index = int(sys.argv[2])
strategy = choose_strategy(DistributionConfig(worker_hosts=sys.argv[1], task_index=index))
any_worker(strategy, False)
if index == int(sys.argv[3]):
    ctypes.PyDLL(None).sleep(15)  # with Python's lock held, as in C++ code that compiles
print(any_worker(strategy, index == 1))
"""


@pytest.mark.parametrize("busy", [1])
@pytest.mark.fault(
    "Several workers",
    "a worker compiles for long",
    "the others wait for it",
)
def test_a_worker_that_is_busy_for_long_is_not_taken_for_dead(busy):
    """For longer than the ten seconds without a heartbeat that would end the run."""
    hosts = ",".join(f"127.0.0.1:{port}" for port in free_ports())
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "PYTHONPATH": str(ROOT)}
    began = time.monotonic()
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", BUSY, hosts, str(index), str(busy)],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]
    try:
        outputs = [process.communicate(timeout=100)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert outputs == ["True\n", "True\n"]
    assert time.monotonic() - began > 15


def test_the_same_error_in_a_run_of_one_process_stays_what_it_is(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    error = tf.errors.InternalError(None, None, "Collective ops is aborted by: NCCL")
    with pytest.raises(tf.errors.InternalError, match="NCCL"), lost_worker_explained():
        raise error
