"""One of several worker processes; TF_CONFIG says which. Prints its losses as JSON."""

import json
import os
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from efficientnet_tf.config import DistributionConfig  # noqa: E402
from efficientnet_tf.train.distribute import choose_strategy, is_chief  # noqa: E402

if __name__ == "__main__":
    strategy = choose_strategy(DistributionConfig())
    from toy import NO_DROPOUT, toy_losses

    losses = toy_losses(strategy, 3, strategy.num_replicas_in_sync, **NO_DROPOUT)
    result = {
        "strategy": type(strategy).__name__,
        "replicas": strategy.num_replicas_in_sync,
        "chief": is_chief(strategy),
        "losses": losses,
    }
    print(json.dumps(result), flush=True)
