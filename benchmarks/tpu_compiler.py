"""The TPU's own compiler, which runs on any machine: does a graph compile, and what does it need?

    pip install -e '.[tpu-compile]'      # in an environment of its own

TensorFlow lowers a function to StableHLO, and `libtpu` compiles that, through JAX, for a topology
that need not be there. No step is run: memory, arithmetic and traffic are the compiler's figures.
"""

import os
from dataclasses import dataclass

# The topology comes from the arguments; libtpu must not ask the metadata server of a cloud for it.
os.environ.update(
    TPU_SKIP_MDS_QUERY="1",
    JAX_PLATFORMS="cpu",
    ALLOW_MULTIPLE_LIBTPU_LOAD="1",
    TPU_ACCELERATOR_TYPE="v5litepod-4",
    TPU_WORKER_HOSTNAMES="localhost",
    TPU_WORKER_ID="0",
)


_MOST_ARGUMENTS = 2000


@dataclass(frozen=True)
class Chip:
    """What its maker publishes of a TPU, for one core as the compiler sees it.

    Attributes:
      topology: the smallest that the compiler knows.
      cores: of one host.
      flops: bfloat16 operations a second.
      bandwidth: bytes a second from and to memory.
      memory: bytes.
    """

    topology: str
    cores: int
    flops: float
    bandwidth: float
    memory: int


CHIPS = {
    "v3": Chip("v3:2x2x1", 8, 61.5e12, 450e9, 16 * 2**30),
    "v4": Chip("v4:2x2x1", 4, 275e12, 1228e9, 32 * 2**30),
    "v5e": Chip("v5e:2x2", 8, 197e12, 819e9, 16 * 2**30),
    "v6e": Chip("v6e:2x2", 8, 918e12, 1640e9, 32 * 2**30),
}


@dataclass(frozen=True)
class Needs:
    """What the compiler says that a step needs of one core.

    Attributes:
      memory: bytes at the same time, variables and batch included.
      flops: operations of a step.
      traffic: bytes from and to memory.
    """

    memory: int
    flops: float
    traffic: float

    def seconds(self, chip: Chip) -> float:
        """A lower bound on the time of a step: the larger of arithmetic and traffic at the peak."""
        return max(self.flops / chip.flops, self.traffic / chip.bandwidth)


def stablehlo(function, *arguments) -> bytes:
    """What XLA compiles of a `tf.function(jit_compile=True)`, variables as inputs and outputs."""
    lower = function.experimental_get_compiler_ir(*arguments)
    return lower(stage="stablehlo_serialized", platform_name="CPU")


def compile_for(chip: Chip, module: bytes, effort: float = 0.0) -> Needs:
    """Compiles a serialized StableHLO module for the first core of a chip's topology.

    Args:
      effort: of the compiler to save time and memory, from -1 (least) by way of 0 (usual) to 1.

    Raises:
      jax.errors.JaxRuntimeError: an op that TPUs lack, or more memory than the core has.
    """
    # Public is `jax.experimental` alone; `client.compile` and its options are what `jax.jit` calls.
    from jax._src import compiler
    from jax._src.interpreters import mlir
    from jax._src.lib import _jax
    from jax.experimental import topologies
    from jaxlib.mlir import ir

    context = mlir.make_ir_context()
    context.allow_unregistered_dialects = True
    with context:
        parsed = ir.Module.parse(module)
        _drop_copies(parsed.operation)
    topology = topologies.get_topology_desc(platform="tpu", topology_name=chip.topology)
    device = topology.devices[0]
    options = compiler.get_compile_options(num_replicas=1, num_partitions=1)
    build = options.executable_build_options
    build.exec_time_optimization_effort = build.memory_fitting_effort = effort
    # As TensorFlow and JAX do: a TPU takes some thousand arguments, and B7 has more variables.
    (entry,) = (op for op in parsed.body if ir.StringAttr(op.sym_name).value == "main")
    options.parameter_is_tupled_arguments = len(entry.arguments) > _MOST_ARGUMENTS
    executable = device.client.compile(parsed, _jax.DeviceList((device,)), options)
    memory, costs = executable.get_compiled_memory_stats(), executable.cost_analysis()
    costs = costs[0] if isinstance(costs, list) else costs
    used = memory.temp_size_in_bytes + memory.argument_size_in_bytes
    used += memory.output_size_in_bytes - memory.alias_size_in_bytes
    return Needs(used, costs["flops"], costs["bytes accessed"])


def _drop_copies(operation) -> None:
    """TensorFlow's CPU lowering leaves `mhlo.copy`, an identity that StableHLO does not know."""
    for region in operation.regions:
        for block in region:
            for inner in list(block):
                op = inner.operation
                _drop_copies(op)
                if op.name == "mhlo.copy":
                    op.results[0].replace_all_uses_with(op.operands[0])
                    op.erase()
