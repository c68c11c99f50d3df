"""Candidates in turns, round after round, so that other load on the machine hits all alike."""

import json
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Turn:
    """Seconds for each call, on the clock and of all threads of the process."""

    wall: float
    processor: float


def take_turns(
    candidates: Mapping[str, Callable[[], object]], rounds: int, seconds: float
) -> dict[str, list[Turn]]:
    """Measures every candidate once a round, for so many seconds; the first calls compile."""
    for call in candidates.values():
        call()
        call()
    turns: dict[str, list[Turn]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, call in candidates.items():
            turns[name].append(_turn(call, seconds))
    return turns


def _turn(call: Callable[[], object], seconds: float) -> Turn:
    count, processor, began = 0, time.process_time(), time.perf_counter()
    while (wall := time.perf_counter() - began) < seconds or not count:
        call()
        count += 1
    return Turn(wall / count, (time.process_time() - processor) / count)


def table(turns: Mapping[str, list[Turn]], images: int) -> str:
    """Images a second and processor time, and how much faster than the first candidate.

    The ratios are medians over the rounds, with the lowest and the highest.
    """
    base = next(iter(turns.values()))
    lines = [
        "| | images/s | ms a call | faster than the first | by processor time |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, own in turns.items():
        wall = statistics.median(turn.wall for turn in own)
        ratios = [a.wall / b.wall for a, b in zip(base, own, strict=True)]
        processor = [a.processor / b.processor for a, b in zip(base, own, strict=True)]
        lines.append(
            f"| {name} | {images / wall:,.1f} | {1000 * wall:.1f} | {_spread(ratios)} | "
            f"{_spread(processor)} |"
        )
    return "\n".join(lines)


def _spread(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"


def append_results(path: Path | None, turns: Mapping[str, list[Turn]], **task: object) -> None:
    """Adds a line of JSON for each candidate."""
    for name, own in turns.items() if path else ():
        line = {**task, "candidate": name, "wall": [round(turn.wall, 6) for turn in own]}
        line["processor"] = [round(turn.processor, 6) for turn in own]
        with path.open("a") as file:
            file.write(json.dumps(line) + "\n")
