"""`--mode=train_and_eval` and `--mode=train`."""

import json

from efficientnet_tf.config import RunConfig
from efficientnet_tf.run.fit import fit


def train(config: RunConfig) -> None:
    """Trains to the last step."""
    fit(config, verbose=True)


def train_and_eval(config: RunConfig) -> None:
    """Trains with evaluations on the way; the last line of the output is the last one, as JSON."""
    done = fit(config, verbose=True)
    if done.evaluations and done.is_chief:
        print(json.dumps(done.evaluations[-1]), flush=True)
