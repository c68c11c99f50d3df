"""What candidates measure in turns, as a table and as lines of JSON."""

import json
import statistics
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from workers import Turn, Worker


def take_turns(
    workers: Mapping[str, Callable[[], Worker]], rounds: int, seconds: float
) -> dict[str, list[Turn]]:
    """Measures every candidate once a round, for so many seconds.

    They get ready one after the other, so that they do not run out of memory together.
    """
    with ExitStack() as stack:
        ready = {}
        for name, start in workers.items():
            ready[name] = stack.enter_context(start())
            ready[name].wait_until_ready()
        turns: dict[str, list[Turn]] = {name: [] for name in ready}
        for _ in range(rounds):
            for name, worker in ready.items():
                turns[name].append(worker.turn(seconds))
    return turns


def table(turns: Mapping[str, list[Turn]], images: int) -> str:
    """Images a second, processor time, memory, and how much faster than the first candidate.

    The ratios are medians over the rounds, with the lowest and the highest.
    """
    base = next(iter(turns.values()))
    lines = [
        "| | images/s | to the first | by processor time | processor ms/image | peak memory |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, own in turns.items():
        wall = statistics.median(turn.wall for turn in own)
        cost = statistics.median(turn.processor for turn in own)
        lines.append(
            f"| {name} | {images / wall:,.1f} | {_spread(base, own, 'wall')} | "
            f"{_spread(base, own, 'processor')} | {1000 * cost / images:,.1f} | "
            f"{own[-1].memory / 2**20:,.0f} MiB |"
        )
    return "\n".join(lines)


def ratios(base: list[Turn], own: list[Turn], measure: str = "wall") -> list[float]:
    """How many times as fast as the base, round by round."""
    pairs = zip(base, own, strict=True)
    return [getattr(a, measure) / getattr(b, measure) for a, b in pairs]


def _spread(base: list[Turn], own: list[Turn], measure: str) -> str:
    numbers = ratios(base, own, measure)
    return f"{statistics.median(numbers):.2f} ({min(numbers):.2f}-{max(numbers):.2f})"


def append_results(path: Path | None, turns: Mapping[str, list[Turn]], **task: object) -> None:
    """Adds a line of JSON for each candidate."""
    for name, own in turns.items() if path else ():
        line = {**task, "candidate": name, "turns": [vars(turn) for turn in own]}
        with path.open("a") as file:
            file.write(json.dumps(line) + "\n")


def read_results(path: Path) -> dict[tuple, dict[str, list[Turn]]]:
    """Candidates' turns by (kind, model, size, batch), of a file that was appended to."""
    found: dict[tuple, dict[str, list[Turn]]] = {}
    for line in map(json.loads, path.read_text().splitlines()):
        key = tuple(line[field] for field in ("kind", "model", "size", "batch"))
        own = found.setdefault(key, {}).setdefault(line["candidate"], [])
        own += [Turn(**turn) for turn in line["turns"]]
    return found
