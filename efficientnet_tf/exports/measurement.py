"""What an export computes and how fast, measured in a process of its own; see `worker`."""

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from efficientnet_tf.exports.runtimes import RUNTIMES

_SECONDS, _MIN_CALLS, _MAX_CALLS = 0.5, 3, 200  # of each latency
BATCH = 16


def threads() -> int:
    """The processor cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def one_picture(
    runtime: str, path: str, pictures: str, update: Callable[[int], None]
) -> dict[str, Any]:
    """Milliseconds of one picture on one thread, and the peak memory of a process that does it.

    Args:
      runtime: a name of `RUNTIMES`.
      path: of the export.
      pictures: an `.npy` file of float32 [N, S, S, 3] in 0..255.
    """
    run = RUNTIMES[runtime](path, 1)
    images = np.load(pictures, mmap_mode="r")
    latency = _latency(run, images)
    peak = process_memory("VmHWM")
    return {
        "ms_one_thread": latency,
        "peak_memory_mb": None if peak is None else round(peak / 2**20, 1),
    }


def process_memory(field: str) -> int | None:
    """Bytes of this process by Linux' name for them; None where the system does not tell.

    `getrusage` counts what the process had that started this one, too.

    Args:
      field: `VmRSS` for those of now, `VmHWM` for the most.
    """
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    kilobytes = [line.split()[1] for line in lines if line.startswith(f"{field}:")]
    return int(kilobytes[0]) * 1024 if kilobytes else None


def all_pictures(
    runtime: str, path: str, pictures: str, outputs: str, update: Callable[[int], None]
) -> dict[str, Any]:
    """The same on all threads, and what the export says of every picture.

    Args:
      runtime, path, pictures: as for `one_picture`.
      outputs: the `.npy` file to write, float32 [N, C].
    """
    run = RUNTIMES[runtime](path, threads())
    images = np.load(pictures, mmap_mode="r")
    latency = _latency(run, images)
    parts, seconds = [], []
    for start in range(0, len(images), BATCH):
        batch = np.array(images[start : start + BATCH])
        began = time.perf_counter()
        parts.append(run(batch))
        seconds.append((time.perf_counter() - began) / len(batch))
        update(start + len(batch))
    np.save(outputs, np.concatenate(parts))
    return {
        "ms_all_threads": latency,
        "images_per_second": round(1 / statistics.median(seconds), 2),
        "threads": threads(),
    }


def _latency(run: Callable[[np.ndarray], np.ndarray], images: np.ndarray) -> float:
    """Milliseconds of the median call with one image, the first one apart."""
    calls: list[float] = []
    began = time.perf_counter()
    while len(calls) < _MIN_CALLS + 1 or time.perf_counter() - began < _SECONDS:
        image = np.array(images[len(calls) % len(images)][None])
        start = time.perf_counter()
        run(image)
        calls.append(time.perf_counter() - start)
        if len(calls) > _MAX_CALLS:
            break
    return round(1000 * statistics.median(calls[1:]), 3)
