"""Images per second of the whole training step, beside keras.applications' network.

    python benchmarks/train.py [--model efficientnet-b0] [--size 224] [--batch 32] [--rounds 7]

Both networks get this package's own step: forward and backward pass, RMSProp, weight decay, dropout
and stochastic depth, and the average of all weights. They take turns in one process, on random
images that are in memory.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf
from inference import KERAS
from recipe_step import recipe_step
from turns import append_results, table, take_turns

import efficientnet_tf as en
from efficientnet_tf.config import TrainConfig


def main() -> None:
    options = parsed()
    size = options.size or en.input_size(options.model)
    shape = (size, size, 3)
    models = {"ours": en.build_model(options.model, input_shape=shape, classifier_activation=None)}
    if peer := KERAS.get(options.model):
        build = getattr(keras.applications, peer)
        peer = build(weights=None, input_shape=shape, classifier_activation=None)
        models = {"keras.applications": peer, **models}
    batch = {
        "image": tf.random.uniform([options.batch, *shape], maxval=255.0),
        "label": tf.one_hot(tf.range(options.batch), models["ours"].output_shape[-1]),
    }
    calls = {name: compiled(model, batch) for name, model in models.items()}
    turns = take_turns(calls, options.rounds, options.seconds)
    print(f"\n{options.model}, {size} pixels, batches of {options.batch}\n")
    print(table(turns, options.batch))
    append_results(options.results, turns, model=options.model, size=size, batch=options.batch)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="efficientnet-b0")
    parser.add_argument("--size", type=int, help="of the images; the network's own by default")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3.0, help="of a turn")
    parser.add_argument("--results", type=Path, help="gets a line of JSON for each candidate")
    return parser.parse_args()


def compiled(model: keras.Model, batch: dict[str, tf.Tensor]):
    """The step as a function of its own; what it returns is on the host."""
    step = recipe_step(model, len(batch["label"]), TrainConfig(), compiled_swish=True)
    function = tf.function(lambda: step(batch), autograph=False)
    return lambda: [value.numpy() for value in tf.nest.flatten(function())]


if __name__ == "__main__":
    main()
