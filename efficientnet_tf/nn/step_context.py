"""Seed, step number and replica group of a training step, for the layers that it calls.

The training step opens a `StepContext` around the call of the network; the layers read it while
they are traced. Outside of one (Keras' `fit`, another backend) the layers behave like Keras' own.
None of it is saved with a model.
"""

import contextlib
import contextvars
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras


@dataclass(frozen=True)
class StepContext:
    """One step on one replica.

    Attributes:
      seed: the run's seed.
      counter: integer scalar tensor, different for every (step, replica).
      batch_norm_replicas: how many replicas share their batch-norm statistics.
      plain_moments: batch norm takes its moments by reductions and not by a fused kernel, as it
        does in any case where replicas share them; better for a TPU's compiler.
      compiled_swish: swish has a gradient that XLA compiles, for CPUs.
      cpu_gradients: convolutions have gradients in the form that is fastest on CPUs.
      remat: blocks keep their input alone for the backward pass, which computes the rest again.
      recomputing: a block is being computed again. Keras, which tells layers whether they train,
        is not there then; and the moving statistics have been updated before.
    """

    seed: int
    counter: Any
    batch_norm_replicas: int = 1
    plain_moments: bool = False
    compiled_swish: bool = False
    cpu_gradients: bool = False
    remat: bool = False
    recomputing: bool = False

    def seed_for(self, name: str) -> Any:
        """The random seed, `[2]`, of the layer called `name` in this step."""
        salt = zlib.crc32(f"{self.seed}/{name}".encode()) & 0x7FFFFFFF
        dtype = "int64" if keras.backend.backend() == "tensorflow" else "uint32"
        counter = keras.ops.cast(self.counter, dtype)
        return keras.ops.stack([keras.ops.cast(salt, dtype), counter])


_current: contextvars.ContextVar[StepContext | None] = contextvars.ContextVar("step", default=None)


@contextlib.contextmanager
def step_context(step: StepContext) -> Iterator[None]:
    """Makes `step` visible to every layer called (or traced) inside the block."""
    token = _current.set(step)
    try:
        yield
    finally:
        _current.reset(token)


def is_training(training: bool | None) -> bool:
    """Whether a layer trains that Keras has told `training`."""
    step = current_step()
    return bool(training) or (step is not None and step.recomputing)


def current_step() -> StepContext | None:
    """The step being traced, None outside of the train loop."""
    return _current.get()
