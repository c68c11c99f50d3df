"""The journeys of docs/fine_tuning.md, on handwritten digits that are new to the network."""

import dataclasses
import json
import re
import shlex

import numpy as np
import pytest
from helpers.command import ROOT, call
from helpers.toy import tiny_run
from PIL import Image
from sklearn.datasets import load_digits

import efficientnet_tf as en
from efficientnet_tf.config import OptimizerConfig

pytestmark = pytest.mark.slow

DOCUMENT = (ROOT / "docs" / "fine_tuning.md").read_text()
DIGITS = load_digits()


def write(folder, digits, start, stop):
    for digit in digits:
        numbers = np.flatnonzero(DIGITS.target == digit)[start:stop]
        (folder / str(digit)).mkdir(parents=True)
        for number in numbers:
            pixels = np.clip(DIGITS.images[number] * 16, 0, 255).astype("uint8")
            Image.fromarray(pixels).resize((40, 40)).save(folder / str(digit) / f"{number}.png")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """`pretrained`, a small network that knows 0 to 4; `pictures`, 60 and 20 of each of 5 to 9."""
    home = tmp_path_factory.mktemp("home")
    write(home / "known" / "train", range(5), 0, 120)
    write(home / "known" / "val", range(5), 120, 170)
    write(home / "pictures" / "train", range(5, 10), 0, 60)
    write(home / "pictures" / "val", range(5, 10), 100, 120)
    config = tiny_run(home / "pretrained", train_steps=250)
    data = dataclasses.replace(
        config.data, dataset="folder", data_dir=str(home / "known"), horizontal_flip=False
    )
    rate = OptimizerConfig(base_learning_rate=0.05, lr_warmup_epochs=1)
    network = {**config.overrides, "batch_norm_momentum": 0.9}
    done = en.fit(dataclasses.replace(config, data=data, optimizer=rate, overrides=network))
    assert done.evaluations[-1]["top_1_accuracy"] > 0.8
    return home


def accuracies(folder):
    lines = (folder / "eval.jsonl").read_text().splitlines()
    return [json.loads(line)["top_1_accuracy"] for line in lines]


def test_the_commands(home, monkeypatch):
    """They end better than training from scratch, and never far below their best."""
    monkeypatch.chdir(home)
    (block,) = re.findall(r"```sh\n(.*?)```", DOCUMENT, re.DOTALL)
    commands = block.replace("\\\n", " ").replace("--model_name=efficientnet-b0 ", "")
    commands = commands.replace("noisy-student", "pretrained").splitlines()
    words = [shlex.split(command.removeprefix("python main.py ")) for command in commands]
    assert len(words) == 5 and words[1][0] == "--flagfile=finetune-folder"
    for arguments in words:
        result = call(*arguments)
        assert result.returncode == 0, (arguments, result.stderr)
    curve = accuracies(home / "runs" / "pictures")[:20]
    assert len(curve) == 20
    assert max(curve) - curve[-1] <= 0.02 and curve[-1] > 0.7
    files = (
        "pictures.keras",
        "runs/pictures/report/per_class.csv",
        "runs/pictures/augmentation.png",
    )
    assert all((home / file).exists() for file in files)
    assert len(list((home / "reasons").rglob("*.png"))) == 5 * 20
    scratch = {"init_checkpoint": None, "freeze_bn": False, "data_dir": "pictures", "seed": 1}
    network = {"width_coefficient": 0.25, "depth_coefficient": 0.1, "input_image_size": 32}
    en.fit(en.recipe("finetune-folder", model_dir="runs/scratch", **scratch, **network))
    assert curve[-1] > accuracies(home / "runs" / "scratch")[-1] + 0.1


def test_the_keras_program(home, monkeypatch):
    monkeypatch.chdir(home)
    (block,) = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    block = block.replace('en.input_size("efficientnet-b0")', "32").replace(
        "noisy-student", "pretrained"
    )
    names = {}
    exec(block.replace("warmup_target=3e-4", "warmup_target=1e-3"), names)
    history = names["model"].history.history["val_accuracy"]
    assert history[-1] > 0.6 and max(history) - history[-1] <= 0.05
    again = en.build_model("efficientnet-b0", weights="pictures.keras")
    images = next(iter(names["val"]))[0]
    np.testing.assert_allclose(again(images), names["model"](images), atol=1e-5)
