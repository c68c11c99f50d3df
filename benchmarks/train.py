"""Images per second of the whole training step, beside the peers' networks.

    pip install torch timm keras-hub    # the peers, as you like
    python benchmarks/train.py [--models efficientnet-b0] [--batches 32] [--rounds 7]

Keras networks get this package's own step: forward and backward pass, RMSProp, weight decay,
dropout and stochastic depth, and the average of all weights; timm's get the same by timm and
PyTorch. The same random images in memory for all, in float32.
"""

from collections.abc import Callable

from contest import Candidate, Task, hold
from networks import (
    KERAS_APPLICATIONS,
    KERAS_HUB,
    of_keras_applications,
    of_keras_hub,
    of_timm,
    ours,
    torch_images,
)


def in_tensorflow(build: Callable) -> Callable[[Task], Callable]:
    def work(task):
        import tensorflow as tf
        from recipe_step import ON_CPUS, recipe_step

        from efficientnet_tf.config import TrainConfig

        model = build(task.model, task.size)
        step = recipe_step(model, task.batch, TrainConfig(), **ON_CPUS)
        labels = tf.one_hot(tf.range(task.batch), model.output_shape[-1])
        batch = {"image": tf.constant(task.images()), "label": labels}
        function = tf.function(lambda: step(batch), autograph=False)
        return lambda: [value.numpy() for value in tf.nest.flatten(function())]

    return work


def in_torch(is_compiled: bool) -> Callable[[Task], Callable]:
    def work(task):
        import torch
        from timm.optim import create_optimizer_v2
        from timm.utils import ModelEmaV3

        model = of_timm(task.model, training=True)
        average = ModelEmaV3(model, decay=0.9999, foreach=True)
        optimizer = create_optimizer_v2(model, "rmsproptf", lr=1e-3, weight_decay=1e-5)
        run = torch.compile(model) if is_compiled else model
        batch = torch_images(task.images())
        labels, loss = torch.arange(task.batch), torch.nn.CrossEntropyLoss(label_smoothing=0.1)

        def step():
            value = loss(run(batch), labels)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            average.update(model)
            return value.item()

        return step

    return work


CANDIDATES = {
    "keras.applications": Candidate(
        in_tensorflow(of_keras_applications), models=KERAS_APPLICATIONS
    ),
    "KerasHub": Candidate(in_tensorflow(of_keras_hub), ("keras_hub",), KERAS_HUB),
    "timm": Candidate(in_torch(False), ("timm", "torch")),
    "timm, torch.compile": Candidate(in_torch(True), ("timm", "torch")),
    "efficientnet_tf": Candidate(in_tensorflow(ours)),
}

if __name__ == "__main__":
    hold("training", CANDIDATES, batches=[32], seconds=3.0)
