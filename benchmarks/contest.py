"""The command line of a benchmark whose candidates take turns as processes of their own."""

import argparse
import importlib.util
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from turns import append_results, table, take_turns
from workers import Worker, serve

from efficientnet_tf.arch.variants import model_config


@dataclass(frozen=True)
class Task:
    """What is measured: a network by this package's name, of square images."""

    model: str
    size: int
    batch: int

    def images(self) -> np.ndarray:
        """float32 in 0..255, the same for every candidate."""
        shape = (self.batch, self.size, self.size, 3)
        return np.random.default_rng(0).uniform(0, 255, shape).astype("float32")


@dataclass(frozen=True)
class Candidate:
    """Who is measured.

    Attributes:
      work: makes the call to measure.
      modules: that it needs; without them it is left out.
      models: that it has; all if None.
      batches: that one call computes.
    """

    work: Callable[[Task], Callable[[], object]]
    modules: tuple[str, ...] = ()
    models: Collection[str] | None = None
    batches: int = 1

    def is_able(self, model: str) -> bool:
        is_installed = all(importlib.util.find_spec(name) for name in self.modules)
        return is_installed and (self.models is None or model in self.models)


def hold(
    kind: str, candidates: Mapping[str, Candidate], batches: list[int], seconds: float
) -> None:
    """Parses the command line and measures; the first candidate is what the others are compared to.

    Args:
      kind: what is measured, for tables and results.
      candidates: by the name they are shown with.
      batches: of images, by default.
      seconds: of a turn, by default.
    """
    options = _parsed(kind, candidates, batches, seconds)
    if options.worker:
        candidate = candidates[options.worker]
        return serve(candidate.work(next(_tasks(options))), batches=candidate.batches)
    for task in _tasks(options):
        workers = {
            name: partial(_start, name, task)
            for name in options.candidates
            if candidates[name].is_able(task.model)
        }
        turns = take_turns(workers, options.rounds, options.seconds)
        print(f"\n{kind} of {task.model}, {task.size} pixels, batches of {task.batch}\n")
        print(table(turns, task.batch), flush=True)
        append_results(options.results, turns, kind=kind, **vars(task))


def _parsed(kind, candidates, batches, seconds) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=f"Images per second: {kind}.")
    parser.add_argument("--models", nargs="*", default=["efficientnet-b0"])
    parser.add_argument("--size", type=int, help="of the images; the network's own by default")
    parser.add_argument("--batches", type=int, nargs="*", default=batches)
    parser.add_argument("--candidates", nargs="*", choices=candidates, default=list(candidates))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=seconds, help="of a turn")
    parser.add_argument("--results", type=Path, help="gets a line of JSON for each candidate")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser.parse_args()


def _tasks(options: argparse.Namespace) -> Iterator[Task]:
    for model in options.models:
        for batch in options.batches:
            yield Task(model, options.size or model_config(model).input_size, batch)


def _start(name: str, task: Task) -> Worker:
    arguments = [f"--worker={name}", "--models", task.model, f"--size={task.size}"]
    return Worker(f"{name}: {task.model}", [*arguments, "--batches", str(task.batch)])
