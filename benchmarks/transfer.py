"""Fine-tuning on real data: the package's one command beside what else people do.

    python benchmarks/transfer.py --weights=efficientnet-lite0 --imagenet=imagenet_sample \\
        --tasks pictures fashion-100 --seeds 0 1 2
    python benchmarks/transfer.py --plot=docs/transfer.png      # of all that was measured

Tasks, each with a new split or choice of pictures for every seed:
1. `pictures-N`: 200 ImageNet validation pictures, each of another class, grouped into six; N to
   train on, the rest to evaluate. A network must find what birds have in common from nine of them.
   `pictures` is 150, so that a picture more or less to evaluate is 2 points.
2. `fashion-N`: N training pictures of Fashion-MNIST, 1,000 of the test's to evaluate, at 64 pixels.
   From the Debian package `dataset-fashion-mnist`, installed if it is not.
3. `digits`: scikit-learn's handwritten digits at 64 pixels, 1,437 to train on.

All contestants get the same files, EfficientNet-Lite0 and, but for `scratch`, the same weights. A
line of the results holds the accuracy after every evaluation; the table gives, over the seeds, the
mean and deviation of the last, and the largest fall from the best evaluation to the last.
"""

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import keras_guides
import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).with_name("transfer.jsonl")
FASHION = Path("/usr/share/datasets/fashion-mnist")
SIZES = {"pictures": 128, "fashion": 64, "digits": 64}
# ImageNet's classes are in WordNet's order: an animal's group is a range of them.
CANINES, BIRDS = range(151, 281), (*range(7, 25), *range(80, 101), *range(127, 147))
ANIMALS, PLANTS_AND_FOOD = range(398), (*range(924, 970), *range(984, 1000))
VEHICLES = [
    "airship",
    "bobsled",
    "container_ship",
    "fire_engine",
    "freight_car",
    "golfcart",
    "harvester",
    "lifeboat",
    "mobile_home",
    "moped",
    "motor_scooter",
    "moving_van",
    "oxcart",
    "passenger_car",
    "plow",
    "schooner",
    "steam_locomotive",
    "tricycle",
    "unicycle",
    "warplane",
]

# The flags of the command line for each contestant that is one.
COMMANDS = {
    "ours": [],
    "scratch": [
        *("--init_checkpoint=", "--nofreeze_bn", "--layer_decay=1"),
        "--base_learning_rate=0.008",
    ],
    "former README": [
        *("--optimizer=rmsprop", "--base_learning_rate=0.004", "--train_batch_size=64"),
        *("--layer_decay=1", "--gradient_clip_norm=0", "--weight_decay=1e-5"),
        *("--lr_schedule=exponential", "--lr_warmup_share=", "--moving_average_decay=0.99"),
        "--min_crop_area=0.08",
    ],
}
GUIDES = {
    "Keras guide": keras_guides.transfer_guide,
    "Keras example": keras_guides.efficientnet_example,
}


def main() -> None:
    options = parsed()
    if options.tasks:
        measure(options)
    results = read(options.results)
    print(table(results))
    if options.plot:
        plot(results, options.plot)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="*", default=[])
    parser.add_argument("--contestants", nargs="*", default=[*COMMANDS, *GUIDES])
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--weights", help="weights of EfficientNet-Lite0")
    parser.add_argument("--imagenet", type=Path, help="folder of ImageNet validation records")
    parser.add_argument("--scale", type=float, default=1, help="multiplies all numbers of epochs")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--plot", type=Path)
    return parser.parse_args()


def measure(options: argparse.Namespace) -> None:
    """Adds a line to the results for each task, seed and contestant that is not there yet."""
    done = {(r["task"], r["seed"], r["contestant"]) for r in read(options.results)}
    for task in options.tasks:
        for seed in options.seeds:
            with tempfile.TemporaryDirectory() as folder:
                data = Path(folder, "data")
                write_pictures(task, seed, data, options.imagenet)
                for contestant in options.contestants:
                    if (task, seed, contestant) not in done:
                        run(task, seed, contestant, data, options)


def run(task: str, seed: int, contestant: str, data: Path, options: argparse.Namespace) -> None:
    size, started = SIZES[task.split("-")[0]], time.time()
    if contestant in GUIDES:
        keras_guides.keras.utils.set_random_seed(seed)
        accuracies = list(GUIDES[contestant](data, size, options.weights, options.scale))
    else:
        accuracies = run_command(contestant, seed, data, size, options)
    result = {
        "task": task,
        "seed": seed,
        "contestant": contestant,
        "accuracies": [round(accuracy, 4) for accuracy in accuracies],
        "seconds": round(time.time() - started),
    }
    print(json.dumps(result), flush=True)
    with options.results.open("a") as file:
        file.write(json.dumps(result) + "\n")


def run_command(contestant, seed, data, size, options) -> list[float]:
    """The command of the README, with what makes it another contestant."""
    model_dir = data.parent / contestant
    command = [
        *(sys.executable, ROOT / "main.py", "--flagfile=finetune-folder"),
        *(f"--model_name={keras_guides.MODEL}", f"--init_checkpoint={options.weights}"),
        *(f"--data_dir={data}", f"--model_dir={model_dir}"),
        *(f"--input_image_size={size}", f"--seed={seed}"),
        *COMMANDS[contestant],
    ]
    if options.scale != 1:
        command += [f"--train_epochs={20 * options.scale}", "--eval_every_epochs=0.25"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=data.parent)
    lines = (model_dir / "eval.jsonl").read_text().splitlines()
    return [json.loads(line)["top_1_accuracy"] for line in lines]


def write_pictures(task: str, seed: int, folder: Path, imagenet: Path | None) -> None:
    """Writes `train/<class>/` and `val/<class>/`."""
    name, _, count = task.partition("-")
    splits = {
        "pictures": lambda: imagenet_pictures(imagenet, int(count or 150), seed),
        "fashion": lambda: fashion_pictures(int(count), seed),
        "digits": lambda: digit_pictures(seed),
    }[name]()
    for split, examples in splits.items():
        for index, (picture, label) in enumerate(examples):
            path = folder / split / str(label) / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(picture, bytes):
                path.with_suffix(".jpg").write_bytes(picture)
            else:
                Image.fromarray(picture).save(path)


def imagenet_pictures(folder: Path, count: int, seed: int) -> dict[str, list]:
    """The pictures of the records as they are, by group; of each the same share to train on."""
    import tensorflow as tf

    groups = defaultdict(list)
    for record in tf.data.TFRecordDataset(sorted(map(str, folder.glob("validation-*")))):
        features = tf.train.Example.FromString(record.numpy()).features.feature
        label = features["image/class/label"].int64_list.value[0] - 1
        groups[group_of(label)].append(features["image/encoded"].bytes_list.value[0])
    splits: dict[str, list] = {"train": [], "val": []}
    for group, pictures in sorted(groups.items()):
        order = np.random.default_rng(seed).permutation(len(pictures))
        for place, index in enumerate(order):
            split = "train" if place < count / 200 * len(pictures) else "val"
            splits[split].append((pictures[index], group))
    return splits


def group_of(label: int) -> str:
    from efficientnet_tf.imagenet import imagenet_labels

    name = imagenet_labels()[label].split(",")[0].replace(" ", "_")
    groups = {"canine": CANINES, "bird": BIRDS, "animal": ANIMALS, "plant_or_food": PLANTS_AND_FOOD}
    found = [group for group, labels in groups.items() if label in labels]
    return found[0] if found else "vehicle" if name in VEHICLES else "thing"


def fashion_pictures(count: int, seed: int) -> dict[str, list]:
    if not FASHION.exists():
        subprocess.run(["apt-get", "install", "-y", "dataset-fashion-mnist"], check=True)
    splits = {}
    for split, prefix, wanted in (("train", "train", count), ("val", "t10k", 1000)):
        images, labels = (
            np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=header)
            for path, header in (
                (FASHION / f"{prefix}-images-idx3-ubyte.gz", 16),
                (FASHION / f"{prefix}-labels-idx1-ubyte.gz", 8),
            )
        )
        seed = seed if split == "train" else 0
        chosen = np.random.default_rng(seed).permutation(len(labels))[:wanted]
        splits[split] = list(zip(images.reshape(-1, 28, 28)[chosen], labels[chosen], strict=True))
    return splits


def digit_pictures(seed: int) -> dict[str, list]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = np.clip(digits.images * 16, 0, 255).astype(np.uint8)
    order = np.random.default_rng(seed).permutation(len(pixels))
    parts = {"train": order[360:], "val": order[:360]}
    return {s: [(pixels[i], digits.target[i]) for i in part] for s, part in parts.items()}


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def summarised(results: list[dict]) -> dict[str, dict[str, tuple[float, float, float, int]]]:
    """{task: {contestant: mean and deviation of the last accuracy, largest fall, seeds}}."""
    runs = defaultdict(lambda: defaultdict(list))
    for result in results:
        runs[result["task"]][result["contestant"]].append(result["accuracies"])
    return {
        task: {
            contestant: (
                float(np.mean([curve[-1] for curve in curves])),
                float(np.std([curve[-1] for curve in curves])),
                max(max(curve) - curve[-1] for curve in curves),
                len(curves),
            )
            for contestant, curves in contestants.items()
        }
        for task, contestants in sorted(runs.items(), key=lambda item: _place(item[0]))
    }


def _place(task: str) -> tuple[int, int]:
    """In the order of `SIZES`, and by the number of pictures."""
    name, _, count = task.partition("-")
    return list(SIZES).index(name), int(count or 150)


def table(results: list[dict]) -> str:
    lines = [
        "| task | contestant | last top-1 | fall from the best | seeds |",
        "|---|---|---|---|---|",
    ]
    for task, contestants in summarised(results).items():
        for name, (mean, deviation, fall, seeds) in contestants.items():
            lines.append(
                f"| {task} | {name} | {mean:.1%} ± {deviation:.1%} | {fall:.1%} | {seeds} |"
            )
    return "\n".join(lines)


def plot(results: list[dict], path: Path) -> None:
    """Bars of the last accuracy, a group for each task, with the deviation over the seeds."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    summary = {task: runs for task, runs in summarised(results).items() if len(runs) > 1}
    names = [name for name in (*COMMANDS, *GUIDES) if any(name in c for c in summary.values())]
    figure, axes = pyplot.subplots(figsize=(9, 3.6), layout="constrained")
    # Okabe and Ito's palette, which the colour-blind can tell apart.
    colors = ["#0072B2", "#999999", "#D55E00", "#E69F00", "#009E73"]
    width = 0.8 / len(names)
    for place, (name, color) in enumerate(zip(names, colors, strict=False)):
        points = [
            (t, summary[task][name]) for t, task in enumerate(summary) if name in summary[task]
        ]
        axes.bar(
            [t + (place - len(names) / 2 + 0.5) * width for t, _ in points],
            [100 * mean for _, (mean, *_) in points],
            width,
            yerr=[100 * deviation for _, (_, deviation, *_) in points],
            label=name,
            color=color,
            error_kw={"linewidth": 1},
        )
    axes.set_xticks(range(len(summary)), summary)
    axes.set_ylabel("top-1 at the end, %")
    axes.set_ylim(0, 100)
    axes.legend(ncols=len(names), loc="upper center", bbox_to_anchor=(0.5, 1.14), frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
