"""A request to stop is heard at once, a second one obeyed at once."""

import os
import signal
import subprocess
import sys
import time

import pytest
from helpers.command import ROOT

from efficientnet_tf.train.stop_signals import StopSignals

# A call of C that signals do not interrupt: a mutex that is locked twice.
LONG_CALL = """
import ctypes, sys
sys.path.insert(0, {root!r})
from efficientnet_tf.train.stop_signals import StopSignals
with StopSignals():
    mutex, libc = ctypes.create_string_buffer(64), ctypes.CDLL(None)
    libc.pthread_mutex_lock(mutex)
    print("ready", flush=True)
    libc.pthread_mutex_lock(mutex)
"""


@pytest.mark.slow
@pytest.mark.fault(
    "Killed and stopped",
    "a second signal within a long device call",
    "ends at once, unsaved",
)
def test_a_second_signal_ends_a_long_call_at_once():
    code = LONG_CALL.format(root=str(ROOT))
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    said = next(line for line in process.stderr if line.startswith("SIG"))
    assert said.startswith("SIGTERM: stops after what is in progress; a second one")
    assert process.poll() is None
    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 128 + signal.SIGTERM
    assert time.monotonic() - started < 5
    process.communicate()


def test_handlers_and_wakeup_are_those_from_before():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for _ in range(2):
        with StopSignals() as signals:
            assert not signals.received
            os.kill(os.getpid(), signal.SIGINT)
            assert signals.received
    assert {number: signal.getsignal(number) for number in before} == before
    assert signal.set_wakeup_fd(-1) == -1
