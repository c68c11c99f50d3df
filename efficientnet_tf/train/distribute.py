"""Which devices a run uses, and what follows from their number."""

import json
import os
import socket

import tensorflow as tf

from efficientnet_tf.config import DistributionConfig, UserError, unknown_name
from efficientnet_tf.train.cluster import tf_config

_PROBE_SECONDS = 10
_TPU_FILES = ("/dev/accel0", "/dev/vfio/0", "/dev/vfio/vfio")


def choose_strategy(config: DistributionConfig) -> tf.distribute.Strategy:
    """The strategy that `config` names, or the one that fits this machine.

    Must be called before any other TensorFlow operation: TPU and multi-worker strategies set up
    the devices.

    Raises:
      UserError: unknown name, no TPU answers, or it is unclear who the workers are.
    """
    builders = {
        "default": lambda: tf.distribute.get_strategy(),
        "mirrored": tf.distribute.MirroredStrategy,
        "multi_worker_mirrored": lambda: _multi_worker(config),
        "tpu": lambda: _tpu(config),
    }
    name = config.strategy or _detect(config)
    if name not in builders:
        raise unknown_name("--distribution_strategy", name, builders)
    if config.worker_hosts and name != "multi_worker_mirrored":
        raise UserError(
            f"--worker_hosts is of no use to the strategy {name}; leave one of them out"
        )
    return builders[name]()


def _detect(config: DistributionConfig) -> str:
    if config.uses_tpu:
        return "tpu"
    if tf_config(config, os.environ).get("cluster"):
        return "multi_worker_mirrored"
    if len(tf.config.list_physical_devices("GPU")) > 1:
        return "mirrored"
    return "default"


def _multi_worker(config: DistributionConfig) -> tf.distribute.Strategy:
    cluster = tf_config(config, os.environ)
    if "worker" not in cluster.get("cluster", {}):
        raise UserError(
            "--distribution_strategy=multi_worker_mirrored needs the workers' addresses: "
            "--worker_hosts and --task_index, TF_CONFIG, or a start by srun"
        )
    os.environ["TF_CONFIG"] = json.dumps(cluster)
    return tf.distribute.MultiWorkerMirroredStrategy()


def _tpu(config: DistributionConfig) -> tf.distribute.Strategy:
    name = config.tpu or os.environ.get("TPU_NAME") or "local"
    try:
        _check_reachable(name)
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(
            tpu=name, zone=config.tpu_zone, project=config.gcp_project
        )
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except UserError:
        raise
    except Exception as error:
        # The first lines of TensorFlow's messages say where it was, the last what the matter is.
        reason = (str(error).strip() or repr(error)).splitlines()[-1][:160]
        raise UserError(
            f"no TPU answers at {name!r} ({reason}); name one with --tpu=NAME or --tpu=local on a "
            "TPU VM, or leave out --use_tpu"
        ) from None
    return tf.distribute.TPUStrategy(resolver)


def _check_reachable(name: str) -> None:
    """Fails at once where TensorFlow would wait minutes for a TPU that is not there.

    Raises:
      UserError: there is a TPU, but this TensorFlow is not made for one.
      OSError: there is none.
    """
    if name == "local":
        if not any(map(os.path.exists, _TPU_FILES)):
            raise OSError("this machine has no TPU device")
        if not tf.config.list_physical_devices("TPU_SYSTEM"):
            raise UserError(
                f"this TensorFlow {tf.__version__} is not the build for TPUs; in an environment "
                "without another one, pip install 'efficientnet-tf[tpu]'"
            )
        return
    address = name.removeprefix("grpc://")
    host, _, port = address.partition(":")
    if port or name.startswith("grpc://"):
        socket.create_connection((host, int(port or 8470)), _PROBE_SECONDS).close()
    else:
        # The resolver looks a name up through Google Cloud's metadata server.
        socket.create_connection(("metadata.google.internal", 80), _PROBE_SECONDS).close()


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes checkpoints and logs."""
    if num_workers(strategy) == 1:
        return True
    resolver = strategy.cluster_resolver
    first = resolver.task_id == 0 and "chief" not in resolver.cluster_spec().jobs
    return resolver.task_type == "chief" or (resolver.task_type == "worker" and first)


def num_workers(strategy: tf.distribute.Strategy) -> int:
    """How many processes take part in the run."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return 1
    cluster = strategy.cluster_resolver.cluster_spec()
    return sum(cluster.num_tasks(job) for job in cluster.jobs if job in ("chief", "worker"))


def compute_dtype(strategy: tf.distribute.Strategy, config: DistributionConfig) -> str:
    """What to compute in: by default bfloat16 on TPU, float32 elsewhere (CPUs are best at that)."""
    if config.use_float16:
        return "float16"
    wanted = is_tpu(strategy) if config.use_bfloat16 is None else config.use_bfloat16
    return "bfloat16" if wanted else "float32"


def is_tpu(strategy: tf.distribute.Strategy) -> bool:
    """Whether the devices are TPUs."""
    return isinstance(strategy, tf.distribute.TPUStrategy)


def is_cpu(strategy: tf.distribute.Strategy) -> bool:
    """Whether the devices are CPUs."""
    return not is_tpu(strategy) and not tf.config.list_logical_devices("GPU")


def per_replica_batch(strategy: tf.distribute.Strategy, batch_size: int, flag: str) -> int:
    """Examples of a global batch that one replica sees.

    Raises:
      UserError: the batch does not divide by the replicas; `flag` is the name of the batch size.
    """
    replicas = strategy.num_replicas_in_sync
    if batch_size % replicas:
        nearest = max(1, round(batch_size / replicas)) * replicas
        raise UserError(
            f"--{flag}={batch_size} does not divide by {replicas} replicas; {nearest} does"
        )
    return batch_size // replicas


def batch_norm_group(
    optimizer_name: str,
    replicas: int,
    per_replica_batch: int,
    batch_norm_batch_size: int,
    wanted: int | None = None,
) -> int:
    """How many replicas compute their batch-norm statistics together.

    The original's rule, where nothing else is wanted:
    1. up to 8 replicas, each alone; under LARS all of them together;
    2. more, in groups of `max(8, replicas // 8)`; under LARS in groups that hold
       `batch_norm_batch_size` examples, rounded down to a group size that divides the replicas.

    Args:
      optimizer_name: `lars` or another.
      replicas: in the whole run.
      per_replica_batch: examples that one replica sees in a step.
      batch_norm_batch_size: examples normalised together, under LARS on more than 8 replicas.
      wanted: the group size that was asked for, None for the rule.

    Raises:
      UserError: groups of that size do not divide the replicas.
    """
    if wanted is None and optimizer_name == "lars":
        largest = replicas if replicas <= 8 else batch_norm_batch_size // per_replica_batch
        return max(size for size in _divisors(replicas) if size <= max(1, largest))
    if wanted is None:
        wanted = 1 if replicas <= 8 else max(8, replicas // 8)
    if wanted not in _divisors(replicas):
        sizes = ", ".join(map(str, _divisors(replicas)))
        raise UserError(
            f"--batch_norm_replicas={wanted} must divide the {replicas} replicas of this run; "
            f"use one of {sizes}"
        )
    return wanted


def _divisors(number: int) -> list[int]:
    return [size for size in range(1, number + 1) if number % size == 0]
