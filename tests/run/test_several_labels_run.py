"""A run with several labels an image, from its CSV file to predictions and a converted file."""

import json

import keras
import numpy as np
import pytest
from helpers.command import TINY, call
from helpers.shard_writer import jpeg

import efficientnet_tf as en
from efficientnet_tf import data

pytestmark = pytest.mark.slow

CSV = ("--dataset=csv", "--mode=train_and_eval")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Bright, dark and neither: labels that a network finds."""
    folder = tmp_path_factory.mktemp("pictures")
    lines = ["file,labels"]
    for i in range(40):
        (folder / f"{i}.jpg").write_bytes(jpeg(99 * i // 40))
        labels = ["bright"] * (i > 20) + ["very bright"] * (i > 30) + ["dark"] * (i < 10)
        lines.append(f"{i}.jpg,{';'.join(labels)}")
    (folder / "labels.csv").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="module")
def run(pictures, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    flags = (
        f"--data_dir={pictures}",
        f"--model_dir={folder}",
        "--train_steps=4",
        "--mixup_alpha=0.2",
    )
    result = call(*TINY, *CSV, *flags, "--loss=sigmoid")
    assert result.returncode == 0, result.stderr
    return folder, result


def test_several_labels_are_evaluated_and_the_best_is_archived(run):
    folder, result = run
    last = json.loads(result.stdout.splitlines()[-1])
    assert list(last) == [
        *("step", "mean_average_precision", "label_accuracy", "subset_accuracy", "loss"),
        *("num_images", "weights"),
    ]
    results = [json.loads(line) for line in (folder / "eval.jsonl").read_text().splitlines()]
    assert results[-1] == last and last["num_images"] == 8
    best = json.loads((folder / "archive" / "best.json").read_text())
    assert best["mean_average_precision"] == max(r["mean_average_precision"] for r in results)
    assert "step 4: mean average precision " in result.stdout


def test_the_run_knows_its_loss(run, pictures):
    folder, _ = run
    again = call("--mode=eval", "--dataset=csv", f"--data_dir={pictures}", f"--model_dir={folder}")
    assert again.returncode == 0, again.stderr
    assert "mean_average_precision" in again.stdout


def test_softmax_is_refused(pictures, tmp_path):
    result = call(*TINY, *CSV, f"--data_dir={pictures}", f"--model_dir={tmp_path}/run")
    assert result.returncode == 1
    assert ".jpg has 0 labels, and softmax is for one label a picture" in result.stderr
    assert "--loss=sigmoid" in result.stderr and not (tmp_path / "run").exists()


def test_predictions_are_the_sigmoids_of_the_logits(run, pictures, tmp_path):
    folder, _ = run
    output = tmp_path / "out.json"
    files = [str(pictures / f"{i}.jpg") for i in (0, 35)]
    result = call("--mode=predict", f"--model_dir={folder}", f"--output_json={output}", *files)
    assert result.returncode == 0, result.stderr
    assert (
        call("--mode=convert", f"--init_checkpoint={folder}", tmp_path / "r.keras").returncode == 0
    )
    images = np.stack([data.read_picture(path, 32, "bicubic") for path in files])
    logits = en.build_model("efficientnet-b0", weights=str(folder), classifier_activation=None)(
        images
    )
    expected = 1 / (1 + np.exp(-logits))
    names = ["bright", "dark", "very bright"]
    for found, row in zip(json.loads(output.read_text()), expected, strict=True):
        by_name = {p["name"]: p["probability"] for p in found["predictions"]}
        np.testing.assert_allclose([by_name[name] for name in names], row, rtol=1e-4)
    for model in (
        keras.models.load_model(tmp_path / "r.keras"),
        en.build_model("efficientnet-b0", weights=str(tmp_path / "r.keras")),
    ):
        np.testing.assert_allclose(model(images), expected, rtol=1e-4)
    # A new classifier is of one class an image again.
    new = en.build_model("efficientnet-b0", num_classes=4, weights=str(folder))
    np.testing.assert_allclose(np.sum(new(images), -1), 1, rtol=1e-5)
