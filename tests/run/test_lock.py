"""Two runs never train in one folder."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from helpers.command import ROOT, TINY, call, command

from efficientnet_tf.config import UserError
from efficientnet_tf.run import lock as lock_module
from efficientnet_tf.run.folder import RunFolder
from efficientnet_tf.run.lock import RunLock

HOLDER = """
import sys, time
sys.path.insert(0, {root!r})
from efficientnet_tf.run.folder import RunFolder
from efficientnet_tf.run.lock import RunLock
with RunLock(RunFolder({folder!r})):
    print("held", flush=True)
    time.sleep(100)
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    for name, seconds in {"_BEAT": 0.1, "_SILENT": 0.6, "_POLL": 0.05, "_SETTLE": 0.05}.items():
        monkeypatch.setattr(lock_module, f"{name}_SECONDS", seconds)


@pytest.fixture
def folder(tmp_path):
    return RunFolder(str(tmp_path / "run"))


@pytest.fixture
def holder(folder):
    """Another process that holds the lock."""
    code = HOLDER.format(root=str(ROOT), folder=folder.path)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def content(folder):
    return json.loads(folder.read_text("lock.json"))


def write(folder, **changes):
    """A lock of a process of another host."""
    owner = {"host": "elsewhere", "pid": 7, "started": "1", "since": "then", "token": "t"}
    folder.write_text("lock.json", json.dumps({**owner, "beat": 0, **changes}))


@pytest.mark.slow
@pytest.mark.fault(
    "Two runs, changed runs",
    "the same, while the first is stopped (SIGSTOP)",
    "refused at once",
)
def test_a_second_process_is_refused_even_if_the_first_is_stopped(folder, holder):
    for number in (None, signal.SIGSTOP):
        if number:
            holder.send_signal(number)
        started = time.monotonic()
        with pytest.raises(UserError, match=rf"in use: process {holder.pid} on .*--model_dir$"):
            RunLock(folder).__enter__()
        assert time.monotonic() - started < 1
    assert content(folder)["pid"] == holder.pid


@pytest.mark.slow
@pytest.mark.parametrize("reaped", [True, False])
@pytest.mark.fault(
    "Two runs, changed runs",
    "the lock of a process that was killed, a zombie too",
    "taken over at once, said",
)
def test_the_lock_of_a_killed_process_is_taken_over_at_once(folder, holder, reaped, capsys):
    holder.kill()
    if reaped:
        holder.wait()
    else:  # a zombie: its parent has not looked
        time.sleep(0.5)
    with RunLock(folder):
        assert content(folder)["pid"] == os.getpid()
        said = capsys.readouterr().err
        assert f"process {holder.pid} on {socket.gethostname()}" in said
        assert "is gone; its lock is taken over" in said
    assert folder.read_text("lock.json") is None


@pytest.mark.fault(
    "Two runs, changed runs",
    "another process has the number of the one that died",
    "taken over",
)
def test_the_same_number_is_not_the_same_process(folder):
    write(folder, host=socket.gethostname(), pid=os.getpid(), started="1")
    with RunLock(folder):
        assert content(folder)["started"] != "1"


@pytest.mark.parametrize("torn", [False, True])
@pytest.mark.fault(
    "Two runs, changed runs",
    "the lock of another host that is gone, or an empty lock",
    "taken over after 45 s without a beat",
)
def test_a_silent_owner_elsewhere_is_waited_for_and_then_gone(folder, torn, capsys):
    if torn:
        folder.write_text("lock.json", "")
    else:
        write(folder)
    started = time.monotonic()
    with RunLock(folder):
        assert 0.5 < time.monotonic() - started < 5
    assert "waiting up to" in capsys.readouterr().err


@pytest.mark.fault(
    "Two runs, changed runs",
    "the lock of another host that lives",
    "refused",
)
def test_an_owner_elsewhere_that_beats_is_alive(folder):
    write(folder)
    timer = threading.Timer(0.2, write, [folder], {"beat": 1})
    timer.start()
    with pytest.raises(UserError, match="in use: process 7 on elsewhere"):
        RunLock(folder).__enter__()
    timer.join()


def test_it_beats(folder):
    with RunLock(folder):
        deadline, first = time.monotonic() + 5, content(folder)["beat"]
        while content(folder)["beat"] < first + 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.mark.fault(
    "Two runs, changed runs",
    "a process wakes whose folder was taken over meanwhile",
    "it stops before it saves",
)
def test_an_owner_that_was_taken_over_stops_and_leaves_the_other_its_lock(folder):
    with RunLock(folder) as lock:
        lock.check()
        write(folder)
        with pytest.raises(UserError, match="taken over by process 7 on elsewhere"):
            lock.check()
    assert content(folder)["pid"] == 7


@pytest.mark.fault(
    "Two runs, changed runs",
    "eight starts at the same moment",
    "one trains",
)
def test_of_many_at_once_one_gets_it(folder):
    taken, refused, done = [], [], threading.Event()

    def take():
        try:
            with RunLock(folder):
                taken.append(1)
                done.wait(10)
        except UserError:
            refused.append(1)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 10
    while len(taken) + len(refused) < 8 and time.monotonic() < deadline:
        time.sleep(0.01)
    done.set()
    for thread in threads:
        thread.join()
    assert (len(taken), len(refused)) == (1, 7)


@pytest.mark.fault(
    "Two runs, changed runs",
    "two runs in a bucket",
    "the second is refused; started within the same second, one stops at its next save",
)
def test_a_bucket_is_locked_too():
    """TensorFlow's file system in memory has, as a bucket, no exclusive creation."""
    folder = RunFolder("ram://bucket/run")
    with RunLock(folder), pytest.raises(UserError, match="in use"):
        RunLock(folder).__enter__()
    with RunLock(folder):
        pass


@pytest.mark.slow
@pytest.mark.fault(
    "Two runs, changed runs",
    "a second run in the folder of a run",
    "refused in one line",
)
def test_a_second_run_of_the_command_is_refused(tmp_path):
    arguments = [*TINY, f"--model_dir={tmp_path}", "--mode=train", "--steps_per_eval=100000"]
    first = subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, text=True)
    for line in first.stdout:
        if line.startswith("train step"):
            break
    second = call(*arguments)
    assert second.returncode == 1
    assert f"in use: process {first.pid}" in second.stderr
    first.send_signal(signal.SIGTERM)
    first.communicate(timeout=120)
    assert first.returncode == 42 and not (tmp_path / "lock.json").exists()
