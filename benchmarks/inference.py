"""Images per second of a trained network, in the ways there are to run it, beside peers.

    python benchmarks/inference.py [--model efficientnet-b0] [--batches 1 32] [--rounds 9]

All candidates run in one process, in turns, on the same random images. Batch norm gets random
statistics: those of a fresh network are zeros and ones, which a graph optimizer drops. Peers that
are not installed are left out: ONNX Runtime and OpenVINO run what Keras exports of the same folded
network.
"""

import argparse
import importlib.util
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from turns import append_results, table, take_turns

import efficientnet_tf as en

# Networks of keras.applications by our names.
KERAS = {
    **{f"efficientnet-b{i}": f"EfficientNetB{i}" for i in range(8)},
    **{f"efficientnetv2-b{i}": f"EfficientNetV2B{i}" for i in range(4)},
    **{f"efficientnetv2-{size}": f"EfficientNetV2{size.upper()}" for size in "sml"},
}


def main() -> None:
    options = parsed()
    size = options.size or en.input_size(options.model)
    runs = candidates(options.model, size)
    for batch in options.batches:
        images = np.random.default_rng(0).uniform(0, 255, (batch, size, size, 3)).astype("float32")
        calls = {name: bound(run, images) for name, run in runs.items()}
        turns = take_turns(calls, options.rounds, options.seconds)
        print(f"\n{options.model}, {size} pixels, batches of {batch}\n\n{table(turns, batch)}")
        append_results(options.results, turns, model=options.model, size=size, batch=batch)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="efficientnet-b0")
    parser.add_argument("--size", type=int, help="of the images; the network's own by default")
    parser.add_argument("--batches", type=int, nargs="*", default=[1, 32])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a turn")
    parser.add_argument("--results", type=Path, help="gets a line of JSON for each candidate")
    return parser.parse_args()


def bound(run: Callable, images: np.ndarray) -> Callable[[], object]:
    return lambda: run(images)


def candidates(name: str, size: int) -> dict[str, Callable]:
    """What runs the network on an array of images; keras.applications first, if it has it."""
    found = {}
    if peer := KERAS.get(name):
        build = getattr(keras.applications, peer)
        model = with_statistics(build(weights=None, input_shape=(size, size, 3)))
        found["keras.applications, tf.function"] = compiled(model)
        found["keras.applications, predict"] = predicting(model)
    ours = with_statistics(en.build_model(name, input_shape=(size, size, 3)))
    found["ours, tf.function"] = compiled(ours)
    found["ours, predict"] = predicting(ours)
    folded = en.fold_batch_norm(ours)
    found["ours, folded, predict"] = predicting(folded)
    found["ours, inference_function"] = en.inference_function(ours)
    for label, (module, export) in EXPORTS.items():
        if importlib.util.find_spec(module):
            found[label] = export(folded)
    return found


def with_statistics(model: keras.Model) -> keras.Model:
    draw = np.random.default_rng(1)
    for variable in model.weights:
        role = variable.path.rpartition("/")[2]
        if role in ("gamma", "moving_variance"):
            variable.assign(draw.uniform(0.5, 1.5, variable.shape))
        elif role in ("beta", "moving_mean"):
            variable.assign(draw.normal(0, 0.1, variable.shape))
    return model


def compiled(model: keras.Model) -> Callable:
    return tf.function(lambda images: model(images, training=False), autograph=False)


def predicting(model: keras.Model) -> Callable:
    return lambda images: model.predict(images, batch_size=len(images), verbose=0)


def in_onnx_runtime(model: keras.Model) -> Callable:
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        model.export(f"{folder}/model.onnx", format="onnx", verbose=False)
        session = onnxruntime.InferenceSession(f"{folder}/model.onnx")
    name = session.get_inputs()[0].name
    return lambda images: session.run(None, {name: images})


def in_openvino(model: keras.Model) -> Callable:
    import openvino

    with tempfile.TemporaryDirectory() as folder:
        model.export(f"{folder}/model.xml", format="openvino", verbose=False)
        network = openvino.compile_model(f"{folder}/model.xml", "CPU")
    return lambda images: network(images)[0]


EXPORTS = {
    "folded, ONNX Runtime": ("onnxruntime", in_onnx_runtime),
    "folded, OpenVINO": ("openvino", in_openvino),
}

if __name__ == "__main__":
    main()
