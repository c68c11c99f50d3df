"""Damages files at random, many times, and takes down what becomes of them.

The work is done by a process of its own (`python -m helpers.fuzz_pictures COUNT SEED`), so that a
crash or a hang is the failure of one test.
"""

import collections
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

TESTS = Path(__file__).parents[1]
_EXTREMES = (0, 1, 2, 127, 128, 255, 256, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def random_of(seed: int, number: int) -> np.random.RandomState:
    """The random numbers of one file of a survey, whichever files were tried before it."""
    return np.random.RandomState([seed, number])


def mutant(random: np.random.RandomState, original: bytes, other: bytes) -> bytes:
    """`original` with one to three faults, half of them in its first 128 bytes."""
    data = bytearray(original)
    for _ in range(random.randint(1, 4)):
        fault = _FAULTS[random.randint(len(_FAULTS))]
        reach = min(len(data), 128) if random.rand() < 0.5 else len(data)
        fault(random, data, random.randint(reach + 1), other)
    return bytes(data)


def _flip(random, data, at, other):
    if at < len(data):
        data[at] ^= 1 << random.randint(8)


def _overwrite(random, data, at, other):
    length = random.randint(1, 17)
    data[at : at + length] = random.bytes(length)


def _cut(random, data, at, other):
    del data[at:]


def _drop(random, data, at, other):
    del data[at : at + random.randint(1, 65)]


def _repeat(random, data, at, other):
    data[at:at] = data[at : at + random.randint(1, 257)] * random.randint(1, 5)


def _splice(random, data, at, other):
    data[at:] = other[random.randint(len(other) + 1) :]


def _set_number(random, data, at, other):
    size, order = random.choice([2, 4, 8]), ("little", "big")[random.randint(2)]
    number = _EXTREMES[random.randint(len(_EXTREMES))] % 2 ** (8 * size)
    data[at : at + size] = int(number).to_bytes(size, order)


_FAULTS = (_flip, _flip, _overwrite, _cut, _drop, _repeat, _splice, _set_number, _set_number)


def mutants(
    originals: Sequence[bytes], count: int, seed: int, repair: Callable[[bytes], bytes]
) -> Iterator[bytes]:
    """The same files for the same seed.

    Args:
      repair: makes checksums fit again; every second file goes through it, so that a decoder sees
        what else is wrong.
    """
    for number in range(count):
        random = random_of(seed, number)
        first, second = random.randint(len(originals), size=2)
        damaged = mutant(random, originals[first], originals[second])
        yield repair(damaged) if number % 2 else damaged


def survey(files: Iterator, outcome: Callable[[Any], str]) -> None:
    """Prints as JSON how often each outcome came, the slowest file, and the growth of the memory.

    Args:
      outcome: is "ok" or a message of one line; whatever it raises ends the process.
    """
    outcomes, slowest, before = collections.Counter(), (0.0, 0), _peak()
    for number, file in enumerate(files):
        print(number, file=sys.stderr, flush=True)  # the last one is the one that crashed
        start = time.monotonic()
        outcomes[outcome(file)] += 1
        slowest = max(slowest, (time.monotonic() - start, number))
    growth, (seconds, number) = _peak() - before, slowest
    found = {"outcomes": outcomes, "seconds": seconds, "slowest": number, "megabytes": growth}
    print(json.dumps(found))


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def run(module: str, *arguments: object, timeout: float) -> dict:
    """What the `survey` of a module of this folder found; fails where it crashed or hung."""
    environment = {
        **os.environ,
        "PYTHONPATH": f"{TESTS.parent}:{TESTS}",
        "CUDA_VISIBLE_DEVICES": "-1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    process = subprocess.run(
        [sys.executable, "-m", f"helpers.{module}", *map(str, arguments)],
        capture_output=True,
        text=True,
        errors="replace",
        env=environment,
        timeout=timeout,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    return json.loads(process.stdout.splitlines()[-1])
