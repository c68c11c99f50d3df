"""Images per second of `--mode=eval` as a whole, beside its network and its input pipeline alone.

    python benchmarks/evaluation.py --init_checkpoint=run --data_dir=pictures [flags of --mode=eval]

The three take turns in one process. On a CPU network and pipeline share the cores: there the whole
costs what both cost together, and the last column says what is added to that.
"""

import os
import statistics
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf
from absl import flags as absl_flags

from efficientnet_tf.run import flags
from efficientnet_tf.run.session import Session, open_session
from efficientnet_tf.weights.loading import load_opened

_ROUNDS = 5


def main() -> None:
    session = opened(sys.argv[1:])
    load_opened(session.model, session.start.weights)
    evaluator = session.evaluator((), session.folded_model())
    images = evaluator.num_images
    data, batch = evaluator.dataset, next(iter(evaluator.dataset))
    noise = session.strategy.distribute_datasets_from_function(
        lambda _: tf.data.Dataset.from_tensors(batch).repeat()
    )
    steps = -(-images // session.config.data.eval_batch_size)

    def evaluate(dataset):
        evaluator.dataset = dataset
        evaluator.evaluate()

    def read():
        batches = iter(data)
        for _ in range(steps):
            next(batches)

    parts = {"network": lambda: evaluate(noise), "pipeline": read, "whole": lambda: evaluate(data)}
    turns: dict[str, list[tuple[float, float]]] = {name: [] for name in parts}
    for number in range(_ROUNDS + 1):
        for name, run in parts.items():
            wall, processor = time.perf_counter(), time.process_time()
            run()
            if number:  # the first ones trace
                turn = time.perf_counter() - wall, time.process_time() - processor
                turns[name].append(turn)
    report(turns, images)


def opened(arguments: list[str]) -> Session:
    values = absl_flags.FlagValues()
    flags.define_flags(values)
    words = flags.parse(["--mode=eval", *arguments], values)
    return open_session(flags.run_config(words, values), training=False, verbose=False)


def report(turns: dict[str, list[tuple[float, float]]], images: int) -> None:
    print(f"\n| {images} images | images/s | processor ms/image |\n|---|---:|---:|")
    costs = {}
    for name, own in turns.items():
        rate = images / statistics.median(wall for wall, _ in own)
        costs[name] = 1000 / images * statistics.median(processor for _, processor in own)
        print(f"| {name} | {rate:,.1f} | {costs[name]:.2f} |")
    added = costs["whole"] / (costs["network"] + costs["pipeline"]) - 1
    print(f"\nprocessor time of the whole beside the sum of its parts: {added:+.1%}")


if __name__ == "__main__":
    main()
