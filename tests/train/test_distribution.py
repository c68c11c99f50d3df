"""The same run on one device, on two replicas and on two worker processes; on one compiled by XLA.

Without dropout and with batch norm over all replicas these are the same arithmetic.
"""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from helpers.builds import needs_xla_on_the_cpu
from helpers.toy import NO_DROPOUT, one_device, toy_loop, toy_losses, toy_step, two_cpus

from efficientnet_tf.config import DistributionConfig, UserError
from efficientnet_tf.nn.dropout import Dropout
from efficientnet_tf.nn.layers import BatchNormalization
from efficientnet_tf.nn.step_context import StepContext, step_context
from efficientnet_tf.train import distribute

pytestmark = pytest.mark.slow

WORKER = Path(__file__).parents[1] / "helpers" / "worker.py"


@pytest.fixture(scope="module")
def single_losses():
    return toy_losses(one_device(), 3, **NO_DROPOUT)


def test_two_replicas_equal_one_device(single_losses):
    losses = toy_losses(two_cpus(), 3, batch_norm_replicas=2, **NO_DROPOUT)
    np.testing.assert_allclose(losses, single_losses, rtol=1e-5)


def test_batch_norm_per_replica_differs(single_losses):
    losses = toy_losses(two_cpus(), 3, batch_norm_replicas=1, **NO_DROPOUT)
    assert not np.allclose(losses, single_losses, rtol=1e-5)


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory):
    """What `helpers/worker.py` printed in two processes that train together."""
    shared, *own = (str(tmp_path_factory.mktemp(name)) for name in ("shared", "first", "second"))
    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    workers = []
    for index in range(2):
        cluster = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        environment = {**os.environ, "TF_CONFIG": json.dumps(cluster)}
        workers.append(
            subprocess.Popen(
                [sys.executable, str(WORKER), shared, own[index]],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    try:
        outputs = [worker.communicate(timeout=300) for worker in workers]
    finally:
        for worker in workers:  # one that waits for the other does not end by itself
            worker.kill()
    assert all(worker.returncode == 0 for worker in workers), outputs[0][1] + outputs[1][1]
    return [json.loads(stdout.splitlines()[-1]) for stdout, _ in outputs]


def test_two_workers_equal_one_device(two_workers, single_losses):
    results = two_workers
    assert [r["strategy"] for r in results] == ["CollectiveAllReduceStrategy"] * 2
    assert [r["replicas"] for r in results] == [2, 2]
    assert [r["chief"] for r in results] == [True, False]
    # Only the second worker was asked to stop; then nobody was.
    assert [r["agreements"]["any_worker"] for r in results] == [[True, False]] * 2
    for result in results:
        np.testing.assert_allclose(result["losses"], single_losses, rtol=1e-5)


def test_workers_take_the_chiefs_numbers(two_workers):
    for result in two_workers:
        assert result["agreements"]["chief_value"] == [2**53 + 1]


def test_workers_fail_together(two_workers):
    first, second = (result["agreements"] for result in two_workers)
    assert first["fail_together"] == "another worker of this run failed; its output says why"
    assert second["fail_together"] == "only here"
    assert first["require_equal"] == "another worker of this run failed; its output says why"
    assert second["require_equal"].startswith("--train_steps=2 in this worker, 3 in the chief")


def test_workers_start_at_the_chiefs_step(two_workers):
    first, second = (result["restored"] for result in two_workers)
    assert first["shared"] == second["shared"] == 2
    assert first["own"] == "another worker of this run failed; its output says why"
    assert "this worker can read step 0, the chief step 2" in second["own"]


def test_workers_of_different_speed_run_the_same_calls(two_workers):
    """Each call is as long as the chief's clock allows; a worker's own clock would hang the run."""
    first, second = (result["trained"] for result in two_workers)
    assert first["calls"] == second["calls"]
    assert len(first["calls"]) > 2
    assert sum(first["calls"]) == len(first["losses"]) == 24
    assert first["losses"] == second["losses"]


def test_replicas_agree_after_a_call():
    """Weights, statistics, averages and slots are the same on every replica when a call ends."""
    strategy = two_cpus()
    step = toy_step(strategy)
    toy_loop(strategy, step).run(2)
    variables = [v.value for v in (*step.model.weights, *step.optimizer.variables)]
    for variable in [*variables, *step.ema.shadows]:
        first, second = (
            replica.numpy() for replica in strategy.experimental_local_results(variable)
        )
        np.testing.assert_array_equal(first, second, err_msg=variable.name)


@needs_xla_on_the_cpu
def test_whole_step_compiles_with_xla():
    """TPUs need static shapes and ops throughout; XLA on the CPU refuses what they refuse."""
    batch = {
        "image": tf.random.stateless_uniform([16, 32, 32, 3], [1, 2], 0, 255),
        "label": tf.one_hot(tf.range(16) % 10, 10),
    }
    results = []
    for compiled in (False, True):
        step = toy_step(one_device(), **NO_DROPOUT)
        results.append(tf.function(step, jit_compile=compiled)(batch).numpy())
        results[-1] = [results[-1], *(w.numpy() for w in step.model.weights)]
    for plain, compiled in zip(*results, strict=True):
        np.testing.assert_allclose(compiled, plain, rtol=2e-4, atol=2e-5)


@needs_xla_on_the_cpu
def test_dropout_inside_a_step_compiles_with_xla():
    layers = [Dropout(0.5, name="features"), Dropout(0.5, per_example=True, name="branch")]

    @tf.function(jit_compile=True)
    def draw(counter):
        with step_context(StepContext(seed=0, counter=counter)):
            return [layer(tf.ones([16, 2, 2, 8]), training=True) for layer in layers]

    features, branch = (mask.numpy() for mask in draw(tf.constant(1, tf.int64)))
    assert set(np.unique(features)) == {0.0, 2.0}
    assert (branch == branch[:, :1, :1, :1]).all()


# Randomness.


def masks(strategy, layer, counters):
    """What a dropout layer lets through on each replica, one mask a counter."""

    @tf.function
    def draw(counter):
        def replica():
            context = tf.distribute.get_replica_context()
            number = counter * context.num_replicas_in_sync + tf.cast(
                context.replica_id_in_sync_group, tf.int64
            )
            with step_context(StepContext(seed=3, counter=number)):
                return layer(tf.ones([8, 4, 4, 2]), training=True)

        return strategy.run(replica)

    return [
        [m.numpy() for m in strategy.experimental_local_results(draw(tf.constant(c, tf.int64)))]
        for c in counters
    ]


@pytest.mark.parametrize("per_example", [False, True])
def test_replicas_draw_different_masks_and_repeat_them(per_example):
    strategy = two_cpus()
    with strategy.scope():
        layer = Dropout(0.5, per_example=per_example, name="drop")
    (a0, a1), (b0, b1) = masks(strategy, layer, [0, 1])
    for other in (a1, b0, b1):
        assert not np.array_equal(a0, other)
    (again0, again1), _ = masks(strategy, layer, [0, 1])
    np.testing.assert_array_equal(a0, again0)
    np.testing.assert_array_equal(a1, again1)


def test_plain_keras_replicas_draw_different_masks():
    """Outside of our loop too, where Keras' own Dropout repeats itself on every replica."""
    strategy = two_cpus()
    with strategy.scope():
        layer = Dropout(0.5, seed=1, name="drop")
    results = strategy.run(lambda: layer(tf.ones([64]), training=True))
    first, second = (r.numpy() for r in strategy.experimental_local_results(results))
    assert not np.array_equal(first, second)


def test_layers_draw_different_masks():
    with step_context(StepContext(seed=3, counter=tf.constant(5, tf.int64))):
        first, second = (
            Dropout(0.5, name=name)(tf.ones([64]), training=True).numpy() for name in ("a", "b")
        )
    assert not np.array_equal(first, second)


def test_same_seed_same_run_and_another_seed_another():
    first, again, other = (
        [
            row["loss"]
            for row in toy_loop(one_device(), toy_step(one_device(), seed=s), seed=s).run(3)
        ]
        for s in (1, 1, 2)
    )
    assert first == again
    assert first != other


# Groups of replicas and choice of devices.


@pytest.mark.parametrize(
    ("replicas", "together"), [(1, 1), (8, 1), (16, 8), (32, 8), (64, 8), (128, 16), (2048, 256)]
)
def test_batch_norm_groups_follow_the_original(replicas, together):
    assert distribute.batch_norm_group("rmsprop", replicas, 64, 128) == together


@pytest.mark.parametrize(
    ("replicas", "per_replica_batch", "together"),
    [
        (1, 256, 1),
        (2, 256, 2),  # up to 8 replicas all of them, whatever their batch
        (8, 16, 8),
        (8, 256, 8),
        (16, 64, 2),  # more: groups of the default 128 examples
        (32, 32, 4),
        (64, 8, 16),
        (32, 1, 32),  # never more than there are
        (16, 256, 1),  # one replica has more than 128 examples already
        (24, 25, 4),  # 5 would hold 125 examples and does not divide 24
    ],
)
def test_batch_norm_groups_under_lars(replicas, per_replica_batch, together):
    assert distribute.batch_norm_group("lars", replicas, per_replica_batch, 128) == together


@pytest.mark.parametrize("optimizer", ["rmsprop", "lars"])
def test_batch_norm_groups_as_asked_for(optimizer):
    assert distribute.batch_norm_group(optimizer, 16, 64, 128, wanted=4) == 4
    for wanted in (0, 3, 32, -1):
        message = f"^--batch_norm_replicas={wanted} must divide the 16 .* use one of 1, 2, 4, 8, 16"
        with pytest.raises(UserError, match=message):
            distribute.batch_norm_group(optimizer, 16, 64, 128, wanted)


def test_group_statistics_are_those_of_the_joint_batch():
    strategy = two_cpus()
    x = np.random.RandomState(0).normal(3.0, 2.0, [8, 5, 5, 4]).astype("float32")
    with strategy.scope():
        layer = BatchNormalization(momentum=0.0, epsilon=1e-3)
        layer.build([None, 5, 5, 4])

    def replica():
        index = tf.distribute.get_replica_context().replica_id_in_sync_group
        with step_context(StepContext(0, tf.constant(0, tf.int64), batch_norm_replicas=2)):
            return layer(tf.reshape(x, [2, 4, 5, 5, 4])[index], training=True)

    halves = strategy.experimental_local_results(strategy.run(replica))
    mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
    expected = (x - mean) / np.sqrt(variance + 1e-3)
    np.testing.assert_allclose(np.concatenate([h.numpy() for h in halves]), expected, atol=1e-5)
    np.testing.assert_allclose(layer.moving_mean.numpy(), mean, rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance.numpy(), variance, rtol=1e-5)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (DistributionConfig(strategy="mirored"), "mirrored"),
        (DistributionConfig(strategy="multi_worker_mirrored"), "TF_CONFIG"),
        (DistributionConfig(strategy="default", worker_hosts="a:1"), "--worker_hosts"),
        (DistributionConfig(tpu="grpc://127.0.0.1:1"), "no TPU answers at 'grpc://127.0.0.1:1'"),
    ],
)
def test_unusable_devices_are_one_line(config, words):
    with pytest.raises(UserError, match="^[^\n]*$") as error:
        distribute.choose_strategy(config)
    assert words in str(error.value)


def test_batch_that_does_not_divide():
    with pytest.raises(UserError, match="--train_batch_size=15 does not divide by 2 replicas; 16"):
        distribute.per_replica_batch(two_cpus(), 15, "train_batch_size")
