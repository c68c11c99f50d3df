"""Seconds until something happens, each time in a new process, beside keras.applications.

    python benchmarks/startup.py [--rounds 5] [--results startup.jsonl]

`import` is of the package (of `keras.applications` for the peer), `build` is making a network with
its weights after everything is imported, `first step` the first call of the recipe's whole training
step on 8 images, which traces and compiles it, and `quickstart` the README's first command, from
its start to the line that reports the first steps. Candidates take turns.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PEER, OURS = "keras.applications", "efficientnet_tf"
BATCH = 8


def main() -> None:
    options = parsed()
    if options.worker:
        what, model, candidate = options.worker
        print(MEASURES[what](model, candidate))
        return
    tasks = [("import", "", PEER), ("import", "", OURS)]
    tasks += [("build", model, who) for model in options.models for who in (PEER, OURS)]
    tasks += [("first step", options.models[0], who) for who in (PEER, OURS)]
    seconds: dict[tuple[str, str, str], list[float]] = {task: [] for task in tasks}
    quickstart: list[float] = []
    for _ in range(options.rounds):
        for task in tasks:
            seconds[task].append(in_a_process(task))
        quickstart.append(quickstart_seconds())
    seconds["quickstart", "", OURS] = quickstart
    print(table(seconds))
    for (what, model, who), own in seconds.items() if options.results else ():
        line = {"what": what, "model": model, "candidate": who, "seconds": own}
        with options.results.open("a") as file:
            file.write(json.dumps(line) + "\n")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="*", default=["B0", "B7"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--results", type=Path, help="gets a line of JSON for each candidate")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


def in_a_process(task: tuple[str, str, str]) -> float:
    command = [sys.executable, __file__, "--worker", *task]
    done = subprocess.run(command, capture_output=True, text=True, env=environment())
    if done.returncode:
        sys.exit(f"{task} failed:\n{done.stderr[-2000:]}")
    return float(done.stdout.splitlines()[-1])


def environment() -> dict[str, str]:
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    return {**os.environ, **quiet}


def import_seconds(_: str, candidate: str) -> float:
    began = time.perf_counter()
    if candidate == OURS:
        import efficientnet_tf  # noqa: F401
    else:
        import keras.applications  # noqa: F401
    return time.perf_counter() - began


def build_seconds(model: str, candidate: str) -> float:
    make = maker(candidate)
    began = time.perf_counter()
    make(model)
    return time.perf_counter() - began


def first_step_seconds(model: str, candidate: str) -> float:
    import tensorflow as tf
    from recipe_step import ON_CPUS, recipe_step

    from efficientnet_tf.config import TrainConfig

    network = maker(candidate)(model)
    step = recipe_step(network, BATCH, TrainConfig(), **ON_CPUS)
    images = tf.random.uniform([BATCH, *network.input_shape[1:]], maxval=255.0)
    batch = {"image": images, "label": tf.one_hot(tf.range(BATCH), network.output_shape[-1])}
    function = tf.function(lambda: step(batch), autograph=False)
    began = time.perf_counter()
    function().numpy()
    return time.perf_counter() - began


MEASURES = {"import": import_seconds, "build": build_seconds, "first step": first_step_seconds}


def maker(candidate: str) -> Callable:
    """What makes a network of logits, with everything imported that it needs."""
    import keras

    # The peer has these names too; the first network of a process also sets up Keras itself.
    keras.Sequential([keras.Input([8]), keras.layers.Dense(8)])
    if candidate == OURS:
        from efficientnet_tf import applications as module
    else:
        from keras import applications as module
    return lambda model: getattr(module, f"EfficientNet{model}")(
        weights=None, classifier_activation=None
    )


def quickstart_seconds() -> float:
    """Of the command, until it reports its first steps."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(ROOT / "main.py"), "--flagfile=quickstart"]
        command += [f"--model_dir={folder}/run", "--train_steps=20"]
        began = time.perf_counter()
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment()
        ) as process:
            for line in process.stdout or ():
                if line.startswith("train step"):
                    break
            else:
                sys.exit("the quickstart reported no step")
            process.kill()
        return time.perf_counter() - began


def table(seconds: dict[tuple[str, str, str], list[float]]) -> str:
    """Medians, and how many times the peer's time each round took."""
    lines = ["| | | seconds | of the peer's |", "|---|---|---:|---:|"]
    for (what, model, who), own in seconds.items():
        peer = seconds.get((what, model, PEER))
        ratio = ""
        if peer and who == OURS:
            ratios = [a / b for a, b in zip(own, peer, strict=True)]
            ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
        name = f"{what} {model}".strip()
        lines.append(f"| {name} | {who} | {statistics.median(own):.2f} | {ratio} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
