"""How long one image takes and how much memory, of any network, in a process of its own."""

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from efficientnet_tf.arch.cost import total
from efficientnet_tf.arch.variants import VARIANTS
from efficientnet_tf.config import ModelConfig
from efficientnet_tf.weights.published.table import published_sets, resolve

_PROBE = "efficientnet_tf.study.probe"


@dataclass(frozen=True)
class Measurement:
    """What one network took.

    Attributes:
      model: its name.
      input_size: side of the image in pixels.
      parameters, multiply_adds: counted.
      top_1: published with the set of weights that `imagenet` means, in percent; None where
        nothing was, or for a network that is scaled otherwise or was evaluated at another size.
      milliseconds: of one image, the median call of `en.inference_function`.
      fastest, slowest: milliseconds of the extreme calls.
      memory_mib: the most that the process had in memory while it ran the network, above what it
        had before the network was built; on a GPU, the most that was allocated there.
      device: what it ran on.
      failure: why there is no measurement, else None.
    """

    model: str
    input_size: int
    parameters: int
    multiply_adds: int
    top_1: float | None
    milliseconds: float | None
    fastest: float | None
    slowest: float | None
    memory_mib: float | None
    device: str
    failure: str | None

    @property
    def key(self) -> tuple[str, int, int, int]:
        """`latency.key` of the network: scaled by flags it has its variant's name, other counts."""
        return self.model, self.input_size, self.parameters, self.multiply_adds


def measured(networks: Iterable[ModelConfig], seconds: float = 2.0) -> Iterator[Measurement]:
    """Measures one network after the other, each for so many seconds and three calls at least."""
    for network in networks:
        cost = total(network)
        numbers = {
            **dict.fromkeys(("milliseconds", "fastest", "slowest", "memory_mib", "failure")),
            "device": "",
            **_run_probe(network, seconds),
        }
        yield Measurement(
            model=network.name,
            input_size=network.input_size,
            parameters=cost.trainable,
            multiply_adds=cost.multiply_adds,
            top_1=published_top_1(network),
            **numbers,
        )


def key(network: ModelConfig) -> tuple[str, int, int, int]:
    """What tells a network from others: `model`, `input_size`, `parameters`, `multiply_adds`."""
    cost = total(network)
    return network.name, network.input_size, cost.trainable, cost.multiply_adds


def published_top_1(network: ModelConfig) -> float | None:
    """In percent, of a variant as it was published with the weights that `imagenet` means.

    None where it was reached at another size than the network's (Lite3, Lite4).
    """
    name = network.name
    if network != VARIANTS.get(name) or not published_sets(name):
        return None
    preset = resolve(name, "imagenet")
    return preset.top_1 if preset.input_size == network.input_size else None


def _run_probe(network: ModelConfig, seconds: float) -> dict:
    """What the other process says; a failure where it is killed, for want of memory as a rule."""
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    done = subprocess.run(
        [sys.executable, "-m", _PROBE],
        input=json.dumps({"network": dataclasses.asdict(network), "seconds": seconds}),
        capture_output=True,
        text=True,
        env=environment,
    )
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])
    if done.returncode < 0:
        return {"failure": f"killed by signal {-done.returncode}: too little memory?"}
    return {"failure": (done.stderr.strip().splitlines() or ["no word"])[-1]}


def pareto_front(rows: Sequence[Measurement], cost: str) -> list[Measurement]:
    """The networks that no other one beats in accuracy without costing more, cheapest first.

    Args:
      rows: with `top_1` and the cost.
      cost: `milliseconds` or `memory_mib`.
    """
    front: list[Measurement] = []
    for row in sorted(rows, key=lambda row: (getattr(row, cost), -(row.top_1 or 0))):
        if not front or (row.top_1 or 0) > (front[-1].top_1 or 0):
            front.append(row)
    return front
