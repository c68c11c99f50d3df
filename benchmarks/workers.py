"""Candidates as processes that are measured in turns.

None shares threads, memory or libraries with another, none can end another, and what else the
machine does hits all alike.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from subprocess import PIPE

_MARK = "benchmark:"  # before what a worker says


@dataclass(frozen=True)
class Turn:
    """One measurement of a candidate.

    Attributes:
      wall: seconds for each batch, on the clock.
      processor: of all threads of the process.
      memory: most bytes of main memory that the process has held so far.
    """

    wall: float
    processor: float
    memory: int


class Worker:
    """A process that gets ready, and then measures whenever it is asked to.

    Args:
      title: for errors.
      arguments: of the program that runs now, which then calls `serve`.
      environment: beside this process's.
    """

    def __init__(
        self, title: str, arguments: list[str], environment: Mapping[str, str] | None = None
    ):
        self._title = title
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115, it lives as long as this
        self._process = subprocess.Popen(
            [sys.executable, sys.argv[0], *arguments],
            stdin=PIPE,
            stdout=PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **(environment or {})},
        )

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_) -> None:
        self._process.kill()
        self._process.wait()
        self._errors.close()

    def wait_until_ready(self) -> None:
        self._answer()

    def turn(self, seconds: float) -> Turn:
        """Measures for about so long."""
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()
        return Turn(**json.loads(self._answer()))

    def _answer(self) -> str:
        """The next line that the process prints of its own, not its libraries."""
        for line in self._process.stdout:
            if line.startswith(_MARK):
                return line.removeprefix(_MARK)
        self._errors.seek(0)
        sys.exit(f"{self._title} failed:\n{self._errors.read()[-2000:]}")


def serve(
    call: Callable[[], object], finish: Callable[[], object] = lambda: None, batches: int = 1
) -> None:
    """A worker's side: calls that compile, then a measurement for every line that comes.

    Args:
      call: what is measured.
      finish: waits for what calls have begun; once for ten of them where it is given.
      batches: that a call computes; a turn is for each of them.
    """
    for _ in range(3):
        call()
    finish()
    print(_MARK, flush=True)
    for line in sys.stdin:
        print(_MARK, json.dumps(vars(_turn(call, finish, batches, float(line)))), flush=True)


def _turn(call: Callable, finish: Callable, batches: int, seconds: float) -> Turn:
    count, processor, began = 0, time.process_time(), time.perf_counter()
    while time.perf_counter() - began < seconds or not count:
        call()
        count += 1
        if count % 10 == 0:
            finish()
    finish()
    wall, processor = time.perf_counter() - began, time.process_time() - processor
    memory = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    count *= batches
    return Turn(wall / count, processor / count, memory)
