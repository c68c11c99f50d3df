"""Images per second of a trained network, in the ways there are to run it, beside peers.

    pip install torch timm keras-hub openvino 'efficientnet-tf[export]'    # the peers, as you like
    python benchmarks/inference.py [--models efficientnet-b0] [--batches 1 32] [--rounds 7]

Every candidate gets the same random images from NumPy, in float32, and gives logits to NumPy. Those
that are not installed are left out. LiteRT, ONNX Runtime and OpenVINO run what `en.export` writes.
"""

import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from contest import Candidate, Task, hold
from networks import (
    KERAS_APPLICATIONS,
    KERAS_HUB,
    of_keras_applications,
    of_keras_hub,
    of_timm,
    ours,
    torch_images,
    with_statistics,
)

from efficientnet_tf.exports.formats import FORMATS, Format
from efficientnet_tf.exports.measurement import threads
from efficientnet_tf.exports.runtimes import RUNTIMES

_PREDICTED = 10  # batches in a call of Keras' `predict`


def compiled(build: Callable) -> Callable[[Task], Callable]:
    """`model(x, training=False)` in a `tf.function`."""

    def work(task):
        import tensorflow as tf

        model = with_statistics(build(task.model, task.size))
        run = tf.function(lambda x: model(x, training=False), autograph=False)
        batch = task.images()
        return lambda: run(batch).numpy()

    return work


def predicting(build: Callable) -> Callable[[Task], Callable]:
    """Keras' `predict`, of several batches: a call has a cost of its own."""

    def work(task):
        model = with_statistics(build(task.model, task.size))
        images = np.concatenate([task.images()] * _PREDICTED)
        return lambda: model.predict(images, batch_size=task.batch, verbose=0)

    return work


def frozen(task: Task) -> Callable:
    import efficientnet_tf as en

    run = en.inference_function(with_statistics(ours(task.model, task.size)))
    batch = task.images()
    return lambda: run(batch).numpy()


def folded(name: str, size: int):
    import efficientnet_tf as en

    return en.fold_batch_norm(with_statistics(ours(name, size)))


def exported(format: str) -> Callable[[Task], Callable]:
    """What `en.export` writes, in its runtime, with as many threads as there are cores.

    Another process writes it, so that the memory is that of the runtime.
    """

    def work(task):
        row = FORMATS[format]
        with tempfile.TemporaryDirectory() as folder:
            with ProcessPoolExecutor(1, get_context("spawn")) as pool:
                pool.submit(write, row, task, folder).result()
            run = RUNTIMES[row.runtime](f"{folder}/{row.file}", threads())
        batch = task.images()
        return lambda: run(batch)

    return work


def write(row: Format, task: Task, folder: str) -> None:
    from efficientnet_tf.exports.network import exported_network
    from efficientnet_tf.exports.writers import Writers

    model = with_statistics(ours(task.model, task.size))
    Writers(exported_network(model), Path(folder), folder, task.images()).write(row)


def in_torch(is_compiled: bool) -> Callable[[Task], Callable]:
    def work(task):
        import torch

        model = of_timm(task.model, training=False)
        if is_compiled:
            model = torch.compile(model)
        batch = torch_images(task.images())

        def call():
            with torch.inference_mode():
                return model(batch).numpy()

        return call

    return work


CANDIDATES = {
    "keras.applications, tf.function": Candidate(
        compiled(of_keras_applications), models=KERAS_APPLICATIONS
    ),
    "keras.applications, predict": Candidate(
        predicting(of_keras_applications), models=KERAS_APPLICATIONS, batches=_PREDICTED
    ),
    "KerasHub, tf.function": Candidate(compiled(of_keras_hub), ("keras_hub",), KERAS_HUB),
    "timm": Candidate(in_torch(False), ("timm", "torch")),
    "timm, torch.compile": Candidate(in_torch(True), ("timm", "torch")),
    "efficientnet_tf, tf.function": Candidate(compiled(ours)),
    "efficientnet_tf, predict": Candidate(predicting(ours), batches=_PREDICTED),
    "efficientnet_tf, folded, predict": Candidate(predicting(folded), batches=_PREDICTED),
    "efficientnet_tf, inference_function": Candidate(frozen),
    "efficientnet_tf, LiteRT": Candidate(exported("litert"), ("ai_edge_litert",)),
    "efficientnet_tf, ONNX Runtime": Candidate(exported("onnx"), ("onnxruntime", "tf2onnx")),
    "efficientnet_tf, OpenVINO": Candidate(exported("openvino"), ("openvino",)),
}

if __name__ == "__main__":
    hold("inference", CANDIDATES, batches=[1, 32], seconds=1.0)
