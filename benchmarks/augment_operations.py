"""Microseconds of each augmentation, on one thread, compiled by XLA and op by op.

    taskset -c 0 python benchmarks/augment_operations.py [--seconds 0.5]

A 224x224 photograph of scikit-learn, magnitude 6, the fastest of many batches of 64: what the
operation takes when nothing else does. The policies are beside the original's algorithm.
"""

import argparse
import contextlib
import os
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import original_augment
import tensorflow as tf
from sklearn.datasets import load_sample_images

from efficientnet_tf.data import AutoAugment, RandAugment
from efficientnet_tf.data.augment.autoaugment import REACH
from efficientnet_tf.data.augment.compiled import plain_graph
from efficientnet_tf.data.augment.policy import OPERATIONS
from efficientnet_tf.data.augment.randaugment import OPERATIONS as RAND_OPERATIONS

BATCH, MAGNITUDE = 64, 6.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=0.5, help="of each measurement")
    seconds = parser.parse_args().seconds
    policies = {"AutoAugment v0": AutoAugment(), "RandAugment 2x10": RandAugment(2, 10)}
    ours = {name: applied(name) for name in OPERATIONS} | policies
    originals = {
        "AutoAugment v0": original_augment.auto_augment,
        "RandAugment 2x10": lambda image: original_augment.rand_augment(image, RAND_OPERATIONS),
    }
    print("| us | XLA | without | original |\n|---|---:|---:|---:|")
    for name, function in ours.items():
        compiled = microseconds(function, seconds)
        plain = microseconds(function, seconds, plain_graph())
        theirs = f"{microseconds(originals[name], seconds):.0f}" if name in originals else ""
        print(f"| {name} | {compiled:.0f} | {plain:.0f} | {theirs} |", flush=True)


def applied(name: str) -> Callable[[tf.Tensor], tf.Tensor]:
    """One operation with an argument and a place that are the same, but unknown in advance.

    Of constants TensorFlow would compute once and for all what a run computes for each image.
    """
    row = OPERATIONS[name]
    argument = row.argument(MAGNITUDE, REACH) if row.argument else 0.0

    def function(image: tf.Tensor) -> tf.Tensor:
        zero = tf.cast(image[0, 0, 0] // 255 // 2, tf.float32)
        return row.apply(image, argument + zero, tf.constant([0.4, 0.4]) + zero)

    return function


def microseconds(
    function: Callable[[tf.Tensor], tf.Tensor],
    seconds: float,
    context: contextlib.AbstractContextManager | None = None,
) -> float:
    """The least that an image took in any batch; the context is there while it is traced."""
    options = tf.data.Options()
    options.threading.private_threadpool_size = options.threading.max_intra_op_parallelism = 1
    image = tf.constant(load_sample_images().images[0][100:324, 100:324])
    with context or contextlib.nullcontext():
        images = tf.data.Dataset.from_tensors(image).repeat().map(function).batch(BATCH)
    iterator = iter(images.with_options(options))
    next(iterator)
    least, began = float("inf"), time.perf_counter()
    while time.perf_counter() - began < seconds:
        start = time.perf_counter()
        next(iterator)
        least = min(least, time.perf_counter() - start)
    return 1e6 * least / BATCH


if __name__ == "__main__":
    main()
