"""Images per second of networks on a GPU, beside timm's: training and inference, in bfloat16.

    pip install torch timm     # the peer, where its packages fit beside TensorFlow's
    python benchmarks/gpu.py [--networks efficientnet-b0 ...] [--rounds 5] [--results gpu.jsonl]
    python benchmarks/gpu.py --table --results benchmarks/gpu.jsonl    # measured before

Every candidate is a process of its own that compiles once; then they take turns, round by round.
Images are random and lie on the device: the pace is that of the network alone. Training is forward
and backward pass, RMSProp, weight decay and the average of the weights; for inference the batch
norm of ours is folded into the convolutions. Candidates whose packages are not installed are left
out; on a machine without a GPU all is small, PyTorch does not compile, and the figures say only
that the program works.
"""

import argparse
import dataclasses
import importlib.util
import json
import statistics
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from workers import Worker, serve

# A step, or a prediction, that is done when the function returns or `finish` does.
Work = tuple[Callable[[], object], Callable[[], object]]
KINDS = ("inference", "train")
_SMALL_SIZE, _SMALL_BATCH = 64, 4


@dataclass(frozen=True)
class Task:
    """What is measured.

    Attributes:
      network: name in this package.
      peer: name in timm.
      size: of the images; the training size where that is not the one of evaluation.
      batch: images a step.
    """

    network: str
    peer: str
    size: int
    batch: int


TASKS = {
    task.network: task
    for task in (
        Task("efficientnet-b0", "tf_efficientnet_b0", 224, 256),
        Task("efficientnet-b4", "tf_efficientnet_b4", 380, 64),
        Task("efficientnetv2-s", "tf_efficientnetv2_s", 300, 128),
    )
}


def main() -> None:
    options = parsed()
    if options.worker:
        work = CANDIDATES[options.candidates[0]].work
        return serve(*work(Task(**json.loads(options.worker)), options.kind))
    print(table(read(options.results) if options.table else rates(options)))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="*", choices=TASKS, default=list(TASKS))
    parser.add_argument("--candidates", nargs="*", choices=CANDIDATES, default=list(CANDIDATES))
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=KINDS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of one measurement")
    parser.add_argument("--results", type=Path, help="gets a line of JSON for each measurement")
    parser.add_argument("--table", action="store_true", help="of --results, without measuring")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--kind", default="train", help=argparse.SUPPRESS)
    return parser.parse_args()


def read(path: Path) -> dict[tuple[str, str, str], list[float]]:
    """As `rates`, of the lines that an earlier run wrote."""
    found: dict[tuple[str, str, str], list[float]] = {}
    for line in map(json.loads, path.read_text().splitlines()):
        key = (line["network"], line["kind"], line["candidate"])
        found.setdefault(key, []).append(line["images_per_s"])
    return found


def rates(options: argparse.Namespace) -> dict[tuple[str, str, str], list[float]]:
    """Images a second by network, kind and candidate, a number for each round."""
    candidates = [name for name in options.candidates if CANDIDATES[name].is_installed]
    gpu = has_gpu()
    found: dict[tuple[str, str, str], list[float]] = {}
    for network in options.networks:
        task = TASKS[network]
        if not gpu:
            task = dataclasses.replace(task, size=_SMALL_SIZE, batch=_SMALL_BATCH)
        with ExitStack() as stack:
            workers = {
                (kind, name): stack.enter_context(start(name, task, kind))
                for kind in options.kinds
                for name in candidates
            }
            for worker in workers.values():  # they compile side by side
                worker.wait_until_ready()
            for kind, name in sorted(workers) * options.rounds:
                rate = task.batch / workers[kind, name].turn(options.seconds).wall
                found.setdefault((network, kind, name), []).append(rate)
                line = {**vars(task), "kind": kind, "candidate": name, "images_per_s": rate}
                print(json.dumps(line | {"gpu": gpu}), flush=True)
                if options.results:
                    with options.results.open("a") as file:
                        file.write(json.dumps(line | {"gpu": gpu}) + "\n")
    return found


def start(name: str, task: Task, kind: str) -> Worker:
    arguments = [f"--worker={json.dumps(vars(task))}", f"--kind={kind}", "--candidates", name]
    title = f"{name}: {kind} of {task.network}"
    return Worker(title, arguments, CANDIDATES[name].environment)


def has_gpu() -> str:
    """The name of the first GPU, empty for none."""
    query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        result = subprocess.run(query, capture_output=True, text=True, check=True)
        return result.stdout.splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return ""


def table(found: dict[tuple[str, str, str], list[float]]) -> str:
    lines = ["| network | | candidate | images/s | to the last |", "|---|---|---|---:|---:|"]
    for (network, kind, name), numbers in found.items():
        last = [key for key in found if key[:2] == (network, kind)][-1]
        ratio = statistics.median(a / b for a, b in zip(numbers, found[last], strict=True))
        rate = statistics.median(numbers)
        lines.append(f"| {network} | {kind} | {name} | {rate:,.0f} | {ratio:.2f} |")
    return "\n".join(lines)


def of_tensorflow(task: Task, kind: str) -> Work:
    """The package's own training step, compiled as `--use_xla` compiles it."""
    import keras
    import tensorflow as tf

    keras.config.set_dtype_policy("mixed_bfloat16")
    from recipe_step import recipe_step

    from efficientnet_tf.config import TrainConfig

    model = network(task, kind)
    images = tf.random.uniform([task.batch, task.size, task.size, 3], 0, 255)
    if kind == "inference":
        run = tf.function(lambda: model(images, training=False), jit_compile=True)
    else:
        step = recipe_step(model, task.batch, TrainConfig(), compiled=True)
        labels = tf.one_hot(tf.range(task.batch) % 1000, 1000)
        batch = {"image": tf.cast(images, "bfloat16"), "label": labels}
        run = tf.function(lambda: step(batch))
    last = []

    def once():
        last[:] = [run()]

    return once, lambda: last[0].numpy()


def of_jax(task: Task, kind: str) -> Work:
    """The same network on Keras' JAX backend: a compiled step without state."""
    import jax
    import keras
    from jax import numpy as jnp

    keras.config.set_dtype_policy("mixed_bfloat16")
    model = network(task, kind)
    images = jnp.asarray(
        jax.random.uniform(jax.random.key(0), (task.batch, task.size, task.size, 3)) * 255
    )
    trained = [v.value for v in model.trainable_variables]
    others = [v.value for v in model.non_trainable_variables]
    if kind == "inference":
        predict = jax.jit(lambda t, n: model.stateless_call(t, n, images, training=False)[0])
        last = [None]

        def once():
            last[0] = predict(trained, others)

        return once, lambda: last[0].block_until_ready()
    labels = jnp.arange(task.batch) % 1000
    optimizer = keras.optimizers.RMSprop(0.016, rho=0.9, momentum=0.9, epsilon=1e-3)
    optimizer.build(model.trainable_variables)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def objective(trained, others):
        logits, others = model.stateless_call(trained, others, images, training=True)
        decay = sum(jnp.sum(v * v) for v in trained if v.ndim > 1)
        return loss(labels, logits) + 5e-6 * decay, others

    @partial(jax.jit, donate_argnums=(0, 1, 2, 3))
    def step(trained, others, slots, averages):
        (value, others), gradients = jax.value_and_grad(objective, has_aux=True)(trained, others)
        trained, slots = optimizer.stateless_apply(slots, gradients, trained)
        averages = [a * 0.9999 + t * 0.0001 for a, t in zip(averages, trained, strict=True)]
        return value, (trained, others, slots, averages)

    slots, averages = [v.value for v in optimizer.variables], [jnp.copy(v) for v in trained]
    state = [None, (trained, others, slots, averages)]

    def once():
        state[:] = step(*state[1])  # which overwrites its arguments

    return once, lambda: state[0].block_until_ready()


def network(task: Task, kind: str):
    from efficientnet_tf.arch.variants import model_config
    from efficientnet_tf.nn.folding import fold_batch_norm
    from efficientnet_tf.nn.network import build_network

    shape = (task.size, task.size, 3)
    model = build_network(model_config(task.network), input_shape=shape, classifier_activation=None)
    return fold_batch_norm(model) if kind == "inference" else model


def of_timm(task: Task, kind: str) -> Work:
    """PyTorch: channels last, bfloat16 (in training by autocast), `torch.compile`."""
    import timm
    import torch
    from timm.optim import create_optimizer_v2
    from timm.utils import ModelEmaV3

    device = "cuda" if torch.cuda.is_available() else "cpu"
    finish = torch.cuda.synchronize if device == "cuda" else lambda: None
    backend = "inductor" if device == "cuda" else "eager"
    model = timm.create_model(task.peer, drop_path_rate=0.2, drop_rate=0.2).to(
        device, memory_format=torch.channels_last
    )
    images = torch.rand(task.batch, 3, task.size, task.size, device=device)
    images = images.to(memory_format=torch.channels_last)
    if kind == "inference":
        compiled = torch.compile(model.eval().to(torch.bfloat16), backend=backend)
        images = images.to(torch.bfloat16)

        def predict():
            with torch.inference_mode():
                compiled(images)

        return predict, finish
    autocast = torch.autocast(device, dtype=torch.bfloat16)
    average = ModelEmaV3(model, decay=0.9999, foreach=True)
    optimizer = create_optimizer_v2(model, "rmsproptf", lr=1e-3, weight_decay=1e-5)
    compiled = torch.compile(model.train(), backend=backend)
    labels = torch.arange(task.batch, device=device) % 1000
    loss = torch.nn.CrossEntropyLoss()

    def step():
        with autocast:
            value = loss(compiled(images), labels)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        average.update(model)

    return step, finish


@dataclass(frozen=True)
class Candidate:
    """Who is measured.

    Attributes:
      work: makes what is measured, for a task and a kind.
      modules: that it needs.
      environment: of its process.
    """

    work: Callable[[Task, str], Work]
    modules: tuple[str, ...]
    environment: dict[str, str]

    @property
    def is_installed(self) -> bool:
        return all(importlib.util.find_spec(name) for name in self.modules)


# Several processes share the GPU: none may take all of its memory at the start.
CANDIDATES = {
    "efficientnet_tf": Candidate(
        of_tensorflow,
        ("tensorflow",),
        {"KERAS_BACKEND": "tensorflow", "TF_FORCE_GPU_ALLOW_GROWTH": "true"},
    ),
    "efficientnet_tf on JAX": Candidate(
        of_jax,
        ("jax", "keras"),
        {"KERAS_BACKEND": "jax", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"},
    ),
    "timm": Candidate(of_timm, ("timm", "torch"), {}),
}


if __name__ == "__main__":
    main()
