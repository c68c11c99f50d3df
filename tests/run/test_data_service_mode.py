"""A tf.data service of a dispatcher and two workers, each a process, feeds a training."""

import os
import socket
import subprocess

import psutil
import pytest
from helpers.command import TINY, call, command, last_result, main

pytestmark = pytest.mark.slow


@pytest.fixture
def start():
    """Starts `--mode=data_service` in a process of its own; all of them end with the test."""
    processes = []

    def one(*arguments):
        processes.append(
            subprocess.Popen(
                command("--mode=data_service", *arguments),
                env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        return processes[-1]

    yield one
    for process in processes:
        process.kill()


def free_address():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"localhost:{server.getsockname()[1]}"


def test_a_training_is_fed_by_two_workers(tmp_path, start):
    flag = f"--tf_data_service={free_address()}"
    workers = [start("--role=worker", flag) for _ in range(2)]  # before there is a dispatcher
    assert all(worker.stdout.readline().startswith("waiting") for worker in workers)
    dispatcher = start("--role=dispatcher", flag)
    assert f"take {flag}" in dispatcher.stdout.readline()
    assert all(worker.stdout.readline().startswith("worker ready") for worker in workers)
    before = [processor_seconds(worker) for worker in workers]
    result = main(*TINY, flag, f"--model_dir={tmp_path}", "--train_steps=20", "--steps_per_eval=20")
    assert result.returncode == 0, result.stderr
    assert last_result(result)["step"] == 20
    for worker, seconds in zip(workers, before, strict=True):
        assert processor_seconds(worker) > seconds + 0.1  # both had something to do
    for process in (*workers, dispatcher):
        process.terminate()
        assert process.wait(timeout=30) == 0
        assert process.stdout.read().endswith("stopped\n")


def processor_seconds(process):
    return psutil.Process(process.pid).cpu_times().user


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--role=worker"], "needs --role=dispatcher or --role=worker, and --tf_data_service"),
        (["--tf_data_service=localhost:1"], "needs --role=dispatcher or --role=worker"),
        (["--role=dispatcher", "--tf_data_service=local"], "needs --role=dispatcher"),
        (
            ["--role=dispatcher", "--tf_data_service=host"],
            "--tf_data_service=host is not host:port",
        ),
    ],
)
def test_what_is_missing_is_one_line(arguments, words):
    result = call("--mode=data_service", *arguments)
    assert result.returncode == 1 and words in result.stderr


def test_a_port_in_use_is_one_line():
    with socket.create_server(("", 0)) as server:
        address = f"localhost:{server.getsockname()[1]}"
        result = call("--mode=data_service", "--role=dispatcher", f"--tf_data_service={address}")
    assert result.returncode == 1 and "in use" in result.stderr
