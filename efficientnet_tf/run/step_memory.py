"""Whether a training step fits into the memory of a device, known before it is tried.

An estimate: what lies there all the time, the activations that the backward pass keeps and the
gradients of one block (`arch.cost.kept_activations`), with factors that fit what was measured: the
figures of the TPU's compiler (`benchmarks/tpu_compile.py`), and the peak of steps on a CPU.
"""

import math
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import tensorflow as tf

from efficientnet_tf import installation
from efficientnet_tf.arch.cost import kept_activations
from efficientnet_tf.arch.scaling import block_plans
from efficientnet_tf.config import ModelConfig, RunConfig, UserError
from efficientnet_tf.train import distribute

# Copies of a kept activation: under a compiler, which computes cheap ones again; op by op, where
# swish keeps its argument too; and op by op without it.
_COMPILED, _SWISH, _RELU = 0.85, 3.3, 1.9
# Under a compiler, in a network with fused blocks and swish.
_COMPILED_FUSED = 1.3
# Under a compiler that computes blocks again: it begins with some of them early.
_COMPILED_REMAT = 1.9
# Gradients of the block that is being differentiated, for each of its activations.
_GRADIENTS = 2.5
# GiB of each device as TensorFlow sees it: of a core of v2 and v3, of a chip of the others.
_TPU_GIB = {"v2": 8, "v3": 16, "v4": 32, "v5e": 16, "v5p": 95, "v6e": 32}
_TPU_ASSUMED = "v3"
_OUT_OF_MEMORY = re.compile("OOM|out of memory", re.IGNORECASE)


@dataclass(frozen=True)
class StepMemory:
    """What a step needs of each device and how much there is, in bytes.

    Attributes:
      fixed: for weights, gradients, optimizer and averages.
      image: for each image that a replica computes at a time.
      image_with_remat: the same with `--remat=blocks`.
      wanted: the flag `--remat`.
      available: None where it cannot be found out.
      share: images of a replica in a step.
      replicas: that share a step.
      parts: in which a replica computes its share, one after the other.
    """

    fixed: int
    image: int
    image_with_remat: int
    wanted: str
    available: int | None
    share: int
    replicas: int
    parts: int = 1

    @property
    def remat(self) -> bool:
        """Whether blocks are computed again."""
        return self.wanted == "blocks" or (self.wanted == "auto" and not self._has(False))

    @property
    def fits(self) -> bool:
        """Whether what the step needs is there, or may be."""
        return self._has(self.remat)

    def __str__(self) -> str:
        text = f"a step of {self.share} images a replica needs about {_gib(self._need(self.remat))}"
        if self.available:
            text += f" of {_gib(self.available)} memory"
        return text + (" with blocks computed again" if self.remat else "")

    def advice(self) -> str:
        """The flags with which a step that does not fit would."""
        batch, with_remat = self._smaller_batch(self.remat), self._smaller_batch(True)
        ways = [f"--train_batch_size={batch}"] if batch else []
        if not self.remat and self._has(True):
            ways.append("--remat=blocks")
        elif with_remat > batch:
            ways.append(f"--train_batch_size={with_remat} --remat=blocks")
        return " or ".join(ways) or "a smaller --input_image_size"

    def _need(self, remat: bool) -> int:
        image = self.image_with_remat if remat else self.image
        return self.fixed + math.ceil(self.share / self.parts) * image

    def _has(self, remat: bool) -> bool:
        return self.available is None or self._need(remat) <= self.available

    def _smaller_batch(self, remat: bool) -> int:
        """The largest power of two a replica that is smaller and fits, for all; 0 for none."""
        image = self.image_with_remat if remat else self.image
        room = (self.available - self.fixed) // image if self.available else self.share
        share = min(room * self.parts, self.share - 1)
        return 2 ** int(math.log2(share)) * self.replicas if share >= 1 else 0


def step_memory(
    config: RunConfig,
    network: ModelConfig,
    strategy: tf.distribute.Strategy,
    dtype: str,
    variables: Sequence[keras.Variable],
) -> StepMemory:
    """The estimate for a training step.

    Args:
      config: with everything decided.
      network: what is trained.
      strategy: on which devices.
      dtype: of the activations.
      variables: all that a device holds of weights, slots, averages and gradients.
    """
    on_tpu = distribute.is_tpu(strategy)
    compiled, size = on_tpu or config.distribution.use_xla, config.data.image_size
    image, with_remat = (
        round(tf.as_dtype(dtype).size * _numbers(network, size, compiled, remat))
        for remat in (False, True)
    )
    if config.train.freeze == "all":  # nothing is kept for a backward pass through the blocks
        image = with_remat
    replicas = strategy.num_replicas_in_sync
    return StepMemory(
        sum(4 * variable.shape.num_elements() for variable in variables),
        image,
        with_remat,
        config.train.remat,
        _tpu_memory() if on_tpu else _gpu_memory() or _free_memory(strategy),
        distribute.per_replica_batch(strategy, config.data.train_batch_size, "train_batch_size"),
        replicas,
        config.train.grad_accum_steps,
    )


def _numbers(network: ModelConfig, size: int, compiled: bool, remat: bool) -> float:
    """How many of them lie in memory at a time for each image."""
    kept, largest = kept_activations(network, (size, size, 3), remat)
    swish = "swish" in network.activation
    fused = any(plan.operator == "fused_mbconv" for plan in block_plans(network))
    if compiled and remat:
        copies = _COMPILED_REMAT
    elif compiled:
        copies = _COMPILED_FUSED if fused and swish else _COMPILED
    else:
        copies = _SWISH if swish else _RELU
    return copies * kept + _GRADIENTS * largest


def exhausted(error: tf.errors.OpError, memory: StepMemory) -> UserError | None:
    """The error of a step that did not fit, in a line; None for any other."""
    if not _OUT_OF_MEMORY.search(str(error)):
        return None
    return UserError(f"out of memory: {memory}; {memory.advice()} needs less (estimates)")


def _tpu_memory() -> int:
    kind = installation.tpu_kind()
    return _TPU_GIB[kind if kind in _TPU_GIB else _TPU_ASSUMED] * 2**30


def _gpu_memory() -> int | None:
    """Of the smallest GPU of this machine, as its driver says; None without one."""
    if not tf.config.list_logical_devices("GPU"):
        return None
    query = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        found = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)
        return min(int(line) for line in found.stdout.split()) * 2**20
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def _free_memory(strategy: tf.distribute.Strategy) -> int | None:
    """Free main memory, of the container if this is one, for each replica in this process."""
    try:
        found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
        free = int(found[1]) * 1024
        limit = Path("/sys/fs/cgroup/memory.max")
        if limit.exists() and (text := limit.read_text().strip()) != "max":
            statistics = limit.with_name("memory.stat").read_text()
            free = min(free, int(text) - int(re.search(r"^anon (\d+)", statistics, re.M)[1]))
    except (OSError, TypeError, ValueError):  # not Linux
        return None
    return free * distribute.num_workers(strategy) // strategy.num_replicas_in_sync


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"
