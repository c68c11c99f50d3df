"""What int8 costs a network with swish and squeeze-excite, and what training for it gives back.

    pip install 'efficientnet-tf[cpu,export]'
    python benchmarks/quantization.py --seeds 0 1 2    # adds to quantization.jsonl
    python benchmarks/quantization.py                  # the table of all that was measured

EfficientNet-B0 at a quarter of the width, all 16 blocks, on Fashion-MNIST (of the Debian package
`dataset-fashion-mnist`) at 32 pixels. For each recipe and seed:
1. `float`: 8,000 training pictures, five epochs.
2. `calibrated int8`: its export as `litert_int8`, with the ranges of 500 training pictures.
3. `float, trained on`: two more epochs at a low rate, to compare the next with.
4. `fake int8`: `en.quantize_aware` of 1, trained as 3; the Keras model.
5. `trained int8`: its export as `litert_int8`.

Accuracies are of the first 2,000 pictures of the test set. `agreement` and `difference` compare a
file's classes and probabilities with those of the Keras model that it was made from.
"""

import argparse
import gzip
import json
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import keras
import numpy as np

import efficientnet_tf as en

RESULTS = Path(__file__).with_name("quantization.jsonl")
FASHION = Path("/usr/share/datasets/fashion-mnist")
SIDE, BATCH = 32, 64
TRAINED_ON, TESTED_ON, CALIBRATED_ON = 8_000, 2_000, 500
EPOCHS, MORE_EPOCHS, LOW_RATE = 5, 2, 5e-4
# The original's optimizer, and the one that is known for large activations.
RECIPES = {
    "rmsprop": lambda rate: keras.optimizers.RMSprop(rate, rho=0.9, momentum=0.9, epsilon=1e-3),
    "sgd": lambda rate: keras.optimizers.SGD(rate, momentum=0.9, nesterov=True),
}
RATES = {"rmsprop": 0.016, "sgd": 0.4}
ACCURACIES = ("float", "calibrated int8", "float, trained on", "fake int8", "trained int8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=RECIPES)
    parser.add_argument("--seeds", type=int, nargs="*", default=[])
    parser.add_argument("--results", type=Path, default=RESULTS)
    said = parser.parse_args()
    done = {(result["recipe"], result["seed"]) for result in read(said.results)}
    for seed in said.seeds:
        for recipe in said.recipes:
            if (recipe, seed) not in done:
                line = json.dumps({"recipe": recipe, "seed": seed, **measure(recipe, seed)})
                print(line, flush=True)
                with said.results.open("a") as file:
                    file.write(line + "\n")
    print(table(read(said.results)))


def measure(recipe: str, seed: int) -> dict[str, float]:
    """Accuracies, agreements and differences, all 0..1."""
    keras.utils.set_random_seed(seed)
    started = time.time()
    train, (images, labels) = pictures("train", TRAINED_ON), pictures("t10k", TESTED_ON)
    model = en.build_model(
        "efficientnet-b0", 10, width_coefficient=0.25, input_size=SIDE, batch_norm_momentum=0.9
    )
    fit(model, train, recipe, RATES[recipe], EPOCHS)
    aware = en.quantize_aware(model)
    fit(aware, train, "adam", LOW_RATE, MORE_EPOCHS)
    plain, trained = (int8(m, images, labels, train[0]) for m in (model, aware))
    fit(model, train, "adam", LOW_RATE, MORE_EPOCHS)
    further = float((model.predict(images, verbose=0).argmax(-1) == labels).mean())
    tops = (plain.top_1, plain.formats[0].compared.top_1, further)
    tops += (trained.top_1, trained.formats[0].compared.top_1)
    result = dict(zip(ACCURACIES, tops, strict=True))
    for kind, report in (("calibrated", plain), ("trained", trained)):
        result[f"{kind} agreement"] = report.formats[0].compared.agreement
        result[f"{kind} difference"] = report.formats[0].compared.mean_difference
    result = {name: round(value, 5) for name, value in result.items()}
    return {**result, "seconds": round(time.time() - started)}


def fit(model: keras.Model, data, recipe: str, rate: float, epochs: int) -> None:
    schedule = keras.optimizers.schedules.CosineDecay(rate, epochs * -(-len(data[0]) // BATCH))
    optimizer = {**RECIPES, "adam": keras.optimizers.Adam}[recipe](schedule)
    # XLA makes the convolutions of a CPU slow.
    model.compile(optimizer, "sparse_categorical_crossentropy", jit_compile=False)
    model.fit(*data, batch_size=BATCH, epochs=epochs, verbose=0)


def int8(model: keras.Model, images, labels, train):
    """The report of an export, which keeps files however far they are from the model."""
    with tempfile.TemporaryDirectory() as folder:
        return en.export(
            model,
            Path(folder, "export"),
            ["litert_int8"],
            pictures=images,
            labels=labels.tolist(),
            calibration=train[:CALIBRATED_ON],
            min_agreement=0.0,
        )


def pictures(part: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Images [count, 32, 32, 3] in 0..255 and labels [count] of `train` or `t10k`."""
    images = np.frombuffer(unpacked(f"{part}-images-idx3-ubyte.gz"), np.uint8, offset=16)
    labels = np.frombuffer(unpacked(f"{part}-labels-idx1-ubyte.gz"), np.uint8, offset=8)
    images = np.pad(images.reshape(-1, 28, 28)[:count], ((0, 0), (2, 2), (2, 2)))
    return np.repeat(images[..., None], 3, axis=-1).astype("float32"), labels[:count]


def unpacked(name: str) -> bytes:
    with gzip.open(FASHION / name) as file:
        return file.read()


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def table(results: list[dict]) -> str:
    """Mean and standard deviation over the seeds, in Markdown."""
    recipes = defaultdict(list)
    for result in results:
        recipes[f"{result['recipe']} {RATES[result['recipe']]}"].append(result)
    names = [f"{recipe}, {len(rows)} seeds" for recipe, rows in recipes.items()]
    lines = [f"| | {' | '.join(names)} |", f"|---|{'---:|' * len(names)}"]
    kinds = [f"{kind} {what}" for kind in ("calibrated", "trained")
             for what in ("agreement", "difference")]  # fmt: skip
    for name in (*ACCURACIES, *kinds):
        cells = []
        for rows in recipes.values():
            values = [row[name] for row in rows]
            unit, digits = ("", 4) if "difference" in name else ("%", 1)
            scale = 100 if unit else 1
            mean, deviation = scale * np.mean(values), scale * np.std(values)
            cells.append(f"{mean:.{digits}f} ± {deviation:.{digits}f}{unit}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
