"""What can be said of TPUs without one: what is traced for eight cores."""

import contextlib
import dataclasses
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from helpers.fake_tpu import tpu_of
from helpers.toy import tiny_run
from tensorflow.python.framework import kernels

from efficientnet_tf.config import DistributionConfig
from efficientnet_tf.run.insight import Insight
from efficientnet_tf.run.training import prepare_training
from efficientnet_tf.weights.formats.run_checkpoint import RunCheckpoint

pytestmark = pytest.mark.slow
REPLICAS = 8
# Communication between the cores of a TPU: TensorFlow's builds without TPUs have no kernels for it.
COMMUNICATION = {"CrossReplicaSum", "CollectivePermute", "AllToAll"}


def training(folder, **changes):
    """A run of the command line's own parts under a TPU of eight cores."""
    run = tiny_run(folder, train_steps=2, **changes)
    data = dataclasses.replace(run.data, train_batch_size=32, eval_batch_size=64)
    distribution = DistributionConfig(strategy="tpu")
    with tpu_of(REPLICAS):
        run = dataclasses.replace(run, data=data, distribution=distribution)
        return prepare_training(run, verbose=False)


class Traced:
    """The ops of a function of two numbers of steps, and those that are on the device."""

    def __init__(self, function, *arguments):
        graph = function.get_concrete_function(*arguments).graph.as_graph_def()
        nodes = [*graph.node, *(n for f in graph.library.function for n in f.node_def)]
        self.all = Counter(node.op for node in nodes)
        self.on_device = [
            node
            for node in nodes
            if "_tpu_replicate" in node.attr and node.op != "TPUReplicateMetadata"
        ]
        self.device_ops = Counter(node.op for node in self.on_device)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    with contextlib.closing(training(tmp_path_factory.mktemp("run"))) as run:
        yield run


@pytest.fixture(scope="module")
def loop(run):
    loop = run.trainer.loop
    return Traced(loop._run, loop._iterator, tf.constant(2))


@pytest.fixture(scope="module")
def evaluation(run):
    insight = Insight(run.session)
    evaluator = run.session.evaluator(insight.observers)
    return Traced(evaluator._run, iter(evaluator.dataset), tf.constant(2))


@pytest.fixture(params=["loop", "evaluation"])
def traced(request):
    return request.getfixturevalue(request.param)


def test_the_run_is_of_eight_cores(run, loop):
    assert run.session.strategy.num_replicas_in_sync == REPLICAS
    assert run.session.model.compute_dtype == "bfloat16"
    assert loop.all["TPUReplicateMetadata"] == 2  # the step, and the statistics at a call's end
    assert loop.all["IteratorGetNext"] == REPLICAS and not loop.all["IteratorGetNextAsOptional"]


def test_nothing_on_the_device_is_text_or_an_assertion(traced):
    text = tf.string.as_datatype_enum
    assert not [
        node.name for node in traced.on_device for a in node.attr.values() if a.type == text
    ]
    assert not traced.device_ops["Assert"] and not traced.device_ops["StringFormat"]
    assert sum(traced.device_ops.values()) > 100  # there is something there


def test_gradients_are_summed_once_and_nothing_else_is_sent(run, loop):
    trained = run.session.model.trainable_variables
    assert loop.device_ops["CrossReplicaSum"] == len(trained) + 1  # and the statistics, packed
    assert not loop.device_ops["AllToAll"] and not loop.device_ops["CollectivePermute"]


def test_images_come_in_16_bits_and_moments_by_reductions(run, loop):
    images = run.session.strategy.experimental_local_results(
        next(run.trainer.loop._iterator)["image"]
    )
    assert {part.dtype for part in images} == {tf.bfloat16}
    assert not loop.all["FusedBatchNormV3"]


def test_an_evaluation_sends_nothing(evaluation):
    assert not COMMUNICATION & set(evaluation.device_ops)


def test_batch_norm_groups_send_their_moments_once(tmp_path):
    run = training(tmp_path, batch_norm_replicas=4)
    loop = Traced(run.trainer.loop._run, run.trainer.loop._iterator, tf.constant(2))
    trained = run.session.model.trainable_variables
    norms = sum(variable.path.endswith("gamma") for variable in trained)
    # Forward and backward for each norm, on top of gradients and statistics.
    assert loop.device_ops["CrossReplicaSum"] == len(trained) + 1 + 2 * norms


def devices_with(op):
    """The kinds of device that have a kernel for an op."""
    return {kernel.device_type for kernel in kernels.get_registered_kernels_for_op(op).kernel}


@pytest.fixture(scope="module")
def compiler():
    """The name under which a build registers the kernels of its compiler."""
    # The first compilation registers them; the TPU build fails in it.
    with contextlib.suppress(tf.errors.OpError):
        tf.function(lambda x: x + 1, jit_compile=True)(tf.constant(1))
    return "XLA_TPU_JIT" if "XLA_TPU_JIT" in devices_with("Conv2D") else "XLA_CPU_JIT"


def test_every_op_can_be_compiled_for_the_device(traced, compiler):
    without = {op for op in traced.device_ops if compiler not in devices_with(op)}
    assert not without - (COMMUNICATION if compiler == "XLA_CPU_JIT" else set())


def test_checkpoints_are_saved_and_restored(run):
    saver = run.trainer.saver
    prefix = saver.save(0)
    kernel = run.session.model.trainable_variables[0]
    before = kernel.numpy()
    kernel.assign(np.zeros_like(before))
    saver.restore_latest()
    np.testing.assert_array_equal(kernel.numpy(), before)
    assert f"model/{kernel.path}" in {name.split("/.")[0] for name in RunCheckpoint(prefix).shapes}
