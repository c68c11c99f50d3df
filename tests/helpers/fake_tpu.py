"""A `TPUStrategy` on a machine without TPUs.

With several replicas graphs are traced as for the device: their ops can be looked at, not run. With
one replica `on_the_cpu` lets them run, on the CPU: all of `TPUStrategy` is at work but the last
step, which hands the graph to the device.

    python tests/helpers/fake_tpu.py --use_tpu ...      # `main.py` on such a TPU of one core
"""

import contextlib
import os
import sys
from pathlib import Path
from unittest import mock

import tensorflow as tf
from tensorflow.python.distribute import tpu_util
from tensorflow.python.tpu import tpu, tpu_replication, tpu_system_metadata

_HOST = "/job:localhost/replica:0/task:0/device:"


class _Device:
    """What TensorFlow's metadata of a TPU holds of a device."""

    def __init__(self, name, kind):
        self.name, self.device_type, self.memory_limit_bytes, self.incarnation = name, kind, 0, 0


def _metadata(replicas):
    devices = [_Device(f"{_HOST}CPU:0", "CPU")]
    devices += [_Device(f"{_HOST}TPU:{core}", "TPU") for core in range(replicas)]
    return tpu_system_metadata.TPUSystemMetadata(replicas, 1, replicas, None, devices)


@contextlib.contextmanager
def tpu_of(replicas):
    """Inside, `distribute.choose_strategy` finds a TPU of so many cores, by its own way.

    Variables lie on the CPU: soft placement takes what a device would hold that is not there.
    """
    tf.config.set_soft_device_placement(True)
    resolver = tf.distribute.cluster_resolver.TPUClusterResolver
    with (
        mock.patch("efficientnet_tf.train.distribute._check_reachable"),
        mock.patch.object(resolver, "get_tpu_system_metadata", lambda _: _metadata(replicas)),
        mock.patch.object(tf.config, "experimental_connect_to_cluster"),
        mock.patch.object(tf.tpu.experimental, "initialize_tpu_system"),
        mock.patch.object(tf.distribute, "TPUStrategy", TPUStrategy),
    ):
        yield


class TPUStrategy(tf.distribute.TPUStrategy):
    """With a variable for each replica: one packed over them is on a device that only TPUs have."""

    def __init__(self, resolver):
        super().__init__(resolver)
        self._enable_packed_variable_in_eager_mode = False


class _Context(tpu_replication.TPUReplicateContext):
    """What tells layers and variables that they are on a TPU; here it leaves the graph alone."""

    def __init__(self):
        super().__init__("on_the_cpu", 1, None)
        self._handles = {}

    def get_replicated_var_handle(self, name, handle_id, vars_, *_args, **_kwargs):
        if handle_id not in self._handles:
            _, graph = tpu_util.enclosing_tpu_context_and_graph()
            with graph.as_default():
                self._handles[handle_id] = tf.identity(getattr(vars_[0], "handle", vars_[0]))
        return self._handles[handle_id]

    def AddOp(self, op):
        if self._outer_context:
            self._outer_context.AddInnerOp(op)

    def AddValue(self, value):
        return value


def _run_here(computation, inputs=None, **_):
    """In place of `tpu.replicate`: the computation of one replica becomes part of the graph."""
    (arguments,) = inputs
    context = _Context()
    context.Enter()
    try:
        outputs = computation(*arguments)
    finally:
        context.Exit()
    outputs = outputs if isinstance(outputs, list | tuple) else [outputs]
    return [[output for output in outputs if output is not None]]


def on_the_cpu():
    """From here on, what a `TPUStrategy` of one replica runs is run on the CPU."""
    tpu.replicate = _run_here


if __name__ == "__main__":
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from efficientnet_tf.run.command_line import console

    on_the_cpu()
    with tpu_of(1):
        console()
