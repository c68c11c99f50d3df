"""How long a run stands still to be saved, in the way of old and in the background.

    python benchmarks/checkpointing.py --model=efficientnet-b5

Both save the same state after the same steps, in turn; the disk is that of --folder.
"""

import argparse
import statistics
import tempfile
import time

import tensorflow as tf
from recipe_step import recipe_step

from efficientnet_tf.arch.variants import model_config
from efficientnet_tf.config import TrainConfig
from efficientnet_tf.nn.network import build_network
from efficientnet_tf.train.checkpoint import CheckpointSaver, Keeping


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="efficientnet-b0")
    parser.add_argument("--size", type=int, default=64, help="of the images of the steps between")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--folder", default=None)
    options = parser.parse_args()
    config = model_config(options.model)
    shape = (options.size, options.size, 3)
    model = build_network(config, input_shape=shape, classifier_activation=None)
    step = recipe_step(model, 4, TrainConfig())
    batch = {"image": tf.zeros([4, *shape]), "label": tf.zeros([4, config.num_classes])}
    train = tf.function(lambda: step(batch))
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        savers = {
            name: CheckpointSaver(
                f"{folder}/{name}", model, step.optimizer, step.ema, Keeping(2), None, background
            )
            for name, background in {"in turn": False, "in the background": True}.items()
        }
        still = {name: [] for name in savers}
        for number in range(options.repeat + 1):
            for name, saver in savers.items():
                train()
                began = time.perf_counter()
                saver.save(number)
                still[name].append(time.perf_counter() - began)
                for _ in range(10):
                    train()
                saver.wait()
    for name, values in still.items():
        values = values[1:]  # the first one traces
        print(
            f"{options.model}, {name}: stands still for {1000 * statistics.median(values):.0f} ms "
            f"(median of {len(values)}, {1000 * min(values):.0f} to {1000 * max(values):.0f})"
        )


if __name__ == "__main__":
    main()
