"""The workers of a run on several hosts: from flags, from TF_CONFIG, or from SLURM.

TensorFlow's strategy reads TF_CONFIG, so the other two become one. Its own resolver for SLURM sorts
the hosts by name, `n10` before `n9`, where SLURM numbers the tasks in the order of its list, and
counts the GPUs with a program that hosts without them do not have.
"""

import json
from collections.abc import Mapping

from tensorflow.python.distribute.cluster_resolver import slurm_cluster_resolver as slurm

from efficientnet_tf.config import DistributionConfig, UserError

# Jobs of one node at the same time get different ports.
_FIRST_PORT, _PORTS = 12_000, 20_000


def tf_config(config: DistributionConfig, environment: Mapping[str, str]) -> dict:
    """What TF_CONFIG is, or has to be; empty for a run in one process.

    Args:
      config: its `worker_hosts` and `task_index` come first.
      environment: of this process: TF_CONFIG, else what `srun` sets.

    Raises:
      UserError: they contradict or are incomplete.
    """
    text = environment.get("TF_CONFIG") or "{}"
    try:
        given = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"TF_CONFIG is not valid JSON: {error}") from None
    if not isinstance(given, dict):
        raise UserError("TF_CONFIG is not a JSON object")
    if config.worker_hosts:
        said = _from_flags(config)
        if given.get("cluster") and given != said:
            raise UserError("--worker_hosts and TF_CONFIG name different workers; use one of them")
        return said
    if config.task_index is not None:
        raise UserError(f"--task_index={config.task_index} needs --worker_hosts")
    _check_task(given)
    return given or _from_slurm(environment)


def _check_task(given: Mapping) -> None:
    """Refuses a place in TF_CONFIG's cluster that is not there."""
    task, cluster = given.get("task", {}), given.get("cluster", {})
    hosts, index = cluster.get(task.get("type")), task.get("index")
    if hosts is not None and index not in range(len(hosts)):
        raise UserError(
            f"TF_CONFIG: this process is {task['type']} {index}, and the cluster has {len(hosts)}, "
            "counted from 0"
        )


def _config(workers: list[str], index: int) -> dict:
    return {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}


def _from_flags(config: DistributionConfig) -> dict:
    hosts = [host.strip() for host in config.worker_hosts.split(",")]
    for host in hosts:
        name, _, port = host.rpartition(":")
        if not name or not port.isdigit():
            raise UserError(
                f"--worker_hosts: {host!r} is not host:port; all workers get the same list, such "
                "as host1:12345,host2:12345"
            )
    index = config.task_index
    if index is None or index >= len(hosts):
        raise UserError(
            f"--task_index={'' if index is None else index} must be this worker's place in "
            f"--worker_hosts, 0 to {len(hosts) - 1}"
        )
    return _config(hosts, index)


def _from_slurm(environment: Mapping[str, str]) -> dict:
    """The tasks of a job step that `srun` started; one alone is no cluster."""
    if int(environment.get("SLURM_STEP_NUM_TASKS") or 1) == 1 or "SLURM_PROCID" not in environment:
        return {}
    hosts = slurm.expand_hostlist(environment["SLURM_STEP_NODELIST"])
    counts = slurm.expand_tasks_per_node(environment["SLURM_STEP_TASKS_PER_NODE"])
    port = _FIRST_PORT + int(environment.get("SLURM_JOB_ID") or 0) % _PORTS
    workers = [
        (host, f"{host}:{port + place}")
        for host, count in zip(hosts, counts, strict=True)
        for place in range(count)
    ]
    index = int(environment["SLURM_PROCID"])
    host, _ = workers[index]
    if environment.get("SLURMD_NODENAME", host) != host:
        raise UserError(
            f"SLURM put task {index} on {environment['SLURMD_NODENAME']}, not on {host}: start "
            "with srun --distribution=block"
        )
    return _config([address for _, address in workers], index)
