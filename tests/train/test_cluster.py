"""Who the workers of a run are: by flags, by TF_CONFIG, and by what SLURM's `srun` sets."""

import json
import os
import socket

import pytest
from helpers.command import TINY, last_result, two_processes

from efficientnet_tf.config import DistributionConfig, UserError
from efficientnet_tf.train.cluster import tf_config

TWO = {"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 1}}
FLAGS = {"worker_hosts": "a:1, b:2", "task_index": 1}


def slurm(task, **changes):
    """What srun sets for a task of `srun -N 3 -n 4` on n9, n10 and m1."""
    return {
        "SLURM_JOB_ID": "77",
        "SLURM_STEP_NUM_TASKS": "4",
        "SLURM_STEP_NODELIST": "n[9-10],m1",
        "SLURM_STEP_TASKS_PER_NODE": "2,1(x2)",
        "SLURM_PROCID": str(task),
        **changes,
    }


def test_one_process_has_no_cluster():
    for environment in ({}, {"TF_CONFIG": ""}, slurm(0, SLURM_STEP_NUM_TASKS="1")):
        assert tf_config(DistributionConfig(), environment) == {}


def test_flags_say_what_tf_config_says():
    said = tf_config(DistributionConfig(**FLAGS), {})
    assert said == TWO == tf_config(DistributionConfig(), {"TF_CONFIG": json.dumps(TWO)})
    assert tf_config(DistributionConfig(**FLAGS), {"TF_CONFIG": json.dumps(TWO)}) == TWO


def test_slurms_tasks_are_numbered_in_the_order_of_its_nodes():
    workers = ["n9:12077", "n9:12078", "n10:12077", "m1:12077"]
    for task, node in enumerate(["n9", "n9", "n10", "m1"]):
        found = tf_config(DistributionConfig(), slurm(task, SLURMD_NODENAME=node))
        assert found == {
            "cluster": {"worker": workers},
            "task": {"type": "worker", "index": task},
        }


SEVENTH = {"type": "worker", "index": 7}


@pytest.mark.parametrize(
    ("config", "environment", "words"),
    [
        ({"worker_hosts": "a:1,b", "task_index": 0}, {}, "'b' is not host:port"),
        ({"worker_hosts": "a:1,b:2"}, {}, "--task_index= must be .* 0 to 1"),
        ({"worker_hosts": "a:1,b:2", "task_index": 2}, {}, "--task_index=2 must be .* 0 to 1"),
        ({"task_index": 1}, {}, "--task_index=1 needs --worker_hosts"),
        (FLAGS, {"TF_CONFIG": json.dumps({**TWO, "cluster": {"worker": ["c:3"]}})}, "use one"),
        ({}, {"TF_CONFIG": "{"}, "TF_CONFIG is not valid JSON"),
        ({}, {"TF_CONFIG": "[1]"}, "TF_CONFIG is not a JSON object"),
        (
            {},
            {"TF_CONFIG": json.dumps({**TWO, "task": SEVENTH})},
            "worker 7, and the cluster has 2, counted",
        ),
        ({}, slurm(1, SLURMD_NODENAME="n10"), "--distribution=block"),
    ],
)
def test_unclear_workers_are_one_line(config, environment, words):
    with pytest.raises(UserError, match=words):
        tf_config(DistributionConfig(**config), environment)


def free_port_of_a_job():
    """A SLURM job's number whose two ports are free."""
    for job in range(os.getpid() % 1000, 20_000):
        try:
            for place in range(2):
                socket.create_server(("127.0.0.1", 12_000 + job + place)).close()
        except OSError:
            continue
        return job
    raise AssertionError("no free ports")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["slurm", "flags"])
def test_two_processes_train_together(tmp_path, kind):
    job = free_port_of_a_job()
    if kind == "slurm":
        nodes = {"SLURM_STEP_NODELIST": "localhost", "SLURM_STEP_TASKS_PER_NODE": "2"}
        step = {"SLURM_JOB_ID": str(job), "SLURM_STEP_NUM_TASKS": "2", **nodes}
        differences = [([], {**step, "SLURM_PROCID": str(task)}) for task in range(2)]
    else:
        hosts = f"--worker_hosts=localhost:{12_000 + job},localhost:{12_001 + job}"
        differences = [([hosts, f"--task_index={task}"], {}) for task in range(2)]
    flags = [*TINY, f"--model_dir={tmp_path}", "--train_steps=2", "--num_eval_images=56"]
    first, second = two_processes(flags, differences)
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert "on 2 replicas (CollectiveAllReduceStrategy)" in first.stdout
    assert last_result(first)["step"] == 2 and last_result(first)["num_images"] == 56
    assert "replicas" not in second.stdout  # only the first speaks
    assert (tmp_path / "eval.jsonl").read_text().count("\n") == 1  # and only the first writes
