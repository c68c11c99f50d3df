"""One of several worker processes; TF_CONFIG says which. Prints its losses as JSON."""

import json
import os
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

from efficientnet_tf.config import DistributionConfig  # noqa: E402
from efficientnet_tf.train.distribute import choose_strategy, is_chief  # noqa: E402

if __name__ == "__main__":
    strategy = choose_strategy(DistributionConfig())
    from helpers.toy import NO_DROPOUT, toy_loop, toy_step

    step = toy_step(strategy, strategy.num_replicas_in_sync, **NO_DROPOUT)
    loop = toy_loop(strategy, step)
    losses = [row["loss"] for row in loop.run(3)]
    second = strategy.cluster_resolver.task_id == 1
    result = {
        "strategy": type(strategy).__name__,
        "replicas": strategy.num_replicas_in_sync,
        "chief": is_chief(strategy),
        "losses": losses,
        # Only the second worker was asked to stop; then nobody was.
        "agreed": [loop.any_worker(second), loop.any_worker(False)],
    }
    print(json.dumps(result), flush=True)
