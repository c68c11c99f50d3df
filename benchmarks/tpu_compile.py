"""What the training step of a network needs on TPUs, by the TPU's own compiler, without a TPU.

    pip install -e '.[tpu-compile]'      # in an environment of its own
    python benchmarks/tpu_compile.py --models efficientnet-b0 --batches 64 128 --chips v3 v5e
    python benchmarks/tpu_compile.py --table      # of all that was measured

A line of the results is the step of one core, mixed bfloat16, RMSProp, averages and weight decay
included. `fits` is the compiler's answer. The images a second are a bound, not a run: what the
chip's published peaks of arithmetic and memory traffic allow.
"""

import argparse
import json
import time
from pathlib import Path

import keras
import tensorflow as tf
import tpu_compiler
from recipe_step import recipe_step

from efficientnet_tf.arch.variants import model_config
from efficientnet_tf.config import REMAT, TrainConfig
from efficientnet_tf.nn.network import build_network

RESULTS = Path(__file__).with_name("tpu_compile.jsonl")


def main() -> None:
    options = parsed()
    if not options.table:
        keras.config.set_dtype_policy("mixed_bfloat16")
        for model in options.models:
            for batch in options.batches:
                for remat in options.remat:
                    measure((model, batch, remat), options.chips, options.effort, options.results)
    print(table(read(options.results)))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="*", default=["efficientnet-b0"])
    parser.add_argument("--batches", nargs="*", type=int, default=[128], help="of one core")
    parser.add_argument("--chips", nargs="*", choices=tpu_compiler.CHIPS, default=["v3"])
    parser.add_argument("--remat", nargs="*", choices=REMAT, default=["none"])
    parser.add_argument("--effort", type=float, default=0.0, help="of the compiler, from -1 to 1")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--table", action="store_true", help="compile nothing, print the results")
    return parser.parse_args()


def measure(step: tuple[str, int, str], chips: list[str], effort: float, results: Path) -> None:
    """Adds a line to the results for each chip that has none for this step yet.

    Args:
      step: the name of the network, the images of a batch, what is computed again.
    """
    model, batch, remat = step
    done = {
        (r["model"], r["batch"], r["remat"], r["chip"], r.get("effort", 0.0)) for r in read(results)
    }
    chips = [chip for chip in chips if (*step, chip, effort) not in done]
    if not chips:
        return
    started = time.time()
    module = tpu_compiler.stablehlo(*training_step(model, batch, remat))
    print(f"{model}, {batch} a core: traced in {time.time() - started:.0f} s", flush=True)
    for chip in chips:
        started = time.time()
        line = {"model": model, "batch": batch, "remat": remat, "chip": chip}
        line |= {"effort": effort} | needs(module, tpu_compiler.CHIPS[chip], batch, effort)
        line["seconds"] = round(time.time() - started)
        print(json.dumps(line), flush=True)
        with results.open("a") as file:
            file.write(json.dumps(line) + "\n")


def training_step(name: str, batch: int, remat: str):
    """The step of a network of the family as a compiled function, and a batch for it."""
    config = model_config(name)
    size, classes = config.input_size, config.num_classes
    model = build_network(config, input_shape=(size, size, 3), classifier_activation=None)
    step = recipe_step(model, batch, TrainConfig(remat=remat), plain_moments=True)
    images = tf.zeros([batch, size, size, 3], model.compute_dtype)
    data = {"image": images, "label": tf.zeros([batch, classes])}
    return tf.function(step, jit_compile=True), data


def needs(module: bytes, chip: tpu_compiler.Chip, batch: int, effort: float) -> dict[str, object]:
    """What the compiler says of a step, in units for people."""
    try:
        found = tpu_compiler.compile_for(chip, module, effort)
    except Exception as error:  # JAX's error for memory is that for everything else
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        return {"fits": False}
    return {
        "fits": True,
        "memory_gib": round(found.memory / 2**30, 2),
        "gflop": round(found.flops / 1e9, 1),
        "traffic_gb": round(found.traffic / 1e9, 2),
        "images_per_second_at_most": round(batch / found.seconds(chip)),
    }


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def table(results: list[dict]) -> str:
    lines = [
        "| network | chip | a core | remat | memory | of | GFLOP | traffic | images/s, at most |",
        "|---|---|---:|---|---:|---:|---:|---:|---:|",
    ]
    for r in sorted(results, key=lambda r: (r["model"], r["chip"], r["batch"], r["remat"])):
        chip = tpu_compiler.CHIPS[r["chip"]]
        name = r["chip"] if not r.get("effort") else f"{r['chip']}, effort {r['effort']:g}"
        start = f"| {r['model']} | {name} | {r['batch']} | {r['remat']} |"
        of = f"{chip.memory / 2**30:.0f} GiB"
        if not r["fits"]:
            lines.append(f"{start} too much | {of} | | | |")
            continue
        lines.append(
            f"{start} {r['memory_gib']:.1f} GiB | {of} | {r['gflop']:,.0f} | "
            f"{r['traffic_gb']:.1f} GB | {r['images_per_second_at_most']:,} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
