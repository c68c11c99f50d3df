"""The journeys of docs/fine_tuning.md, on handwritten digits that are new to the network."""

import dataclasses
import json
import re
import shlex

import keras
import numpy as np
import pytest
import tensorflow_datasets as tfds
from helpers.builds import needs_xla_on_the_cpu
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


class LikeCifar100(tfds.core.GeneratorBasedBuilder):
    """Twenty pictures with the features and splits of tfds's `cifar100`."""

    VERSION = tfds.core.Version("1.0.0")
    SIZES = {"train": 16, "test": 4}
    FEATURES = {
        "id": tfds.features.Text(),
        "image": tfds.features.Image(shape=(32, 32, 3)),
        "label": tfds.features.ClassLabel(num_classes=100),
        "coarse_label": tfds.features.ClassLabel(num_classes=20),
    }

    def _info(self):
        features = tfds.features.FeaturesDict(self.FEATURES)
        keys = ("image", "label")
        return tfds.core.DatasetInfo(builder=self, features=features, supervised_keys=keys)

    def _split_generators(self, manager):
        return {split: self._generate_examples(size) for split, size in self.SIZES.items()}

    def _generate_examples(self, size):
        for i in range(size):
            image = np.full((32, 32, 3), 10 * i, np.uint8)
            yield i, {"id": str(i), "image": image, "label": 6 * i, "coarse_label": i}


class LikeOxfordFlowers102(LikeCifar100):
    """Pictures with the features and splits of tfds's `oxford_flowers102`."""

    SIZES = {"train": 16, "test": 8, "validation": 4}
    FEATURES = {
        "image": tfds.features.Image(),
        "label": tfds.features.ClassLabel(num_classes=102),
        "file_name": tfds.features.Text(),
    }

    def _generate_examples(self, size):
        for i in range(size):
            image = np.full((50, 40 + i, 3), 10 * i, np.uint8)
            yield i, {"image": image, "label": 6 * i, "file_name": f"{i}.jpg"}


@pytest.mark.parametrize(
    ("recipe", "builder", "classes"),
    [("cifar100", LikeCifar100, 100), ("flowers102", LikeOxfordFlowers102, 102)],
)
def test_the_papers_transfer_data_sets(recipe, builder, classes, home, tmp_path):
    builder(data_dir=str(tmp_path)).download_and_prepare()
    result = call(
        *(f"--flagfile=finetune-{recipe}", f"--dataset={builder.name}", f"--data_dir={tmp_path}"),
        *(f"--init_checkpoint={home / 'pretrained'}", f"--model_dir={tmp_path / 'run'}"),
        *("--train_batch_size=8", "--eval_batch_size=4", "--train_epochs=1"),
    )
    assert result.returncode == 0, result.stderr
    assert "16 training images, 4 to evaluate" in result.stdout
    assert f"{classes} classes" in result.stdout and "starts at zero" in result.stdout
    assert json.loads(result.stdout.splitlines()[-1])["num_images"] == 4


def accuracies(folder):
    lines = (folder / "eval.jsonl").read_text().splitlines()
    return [json.loads(line)["top_1_accuracy"] for line in lines]


def test_the_commands(home, monkeypatch):
    """They end far above guessing, 0.2, and not below their best."""
    monkeypatch.chdir(home)
    (block,) = re.findall(r"```sh\n(.*?)```", DOCUMENT, re.DOTALL)
    commands = block.replace("\\\n", " ").replace("--model_name=efficientnet-b0 ", "")
    commands = commands.replace("noisy-student", "pretrained").splitlines()
    words = [shlex.split(command.removeprefix("python main.py ")) for command in commands]
    assert len(words) == 5 and words[1][0] == "--flagfile=finetune-folder"
    words[1] += ["--nohorizontal_flip", "--min_crop_area=0.6"]  # digits are no photographs
    for arguments in words:
        result = call(*arguments)
        assert result.returncode == 0, (arguments, result.stderr)
    curve = accuracies(home / "runs" / "pictures")[:20]
    assert len(curve) == 20
    assert max(curve) - curve[-1] <= 0.02 and curve[-1] > 0.5
    files = (
        "pictures.keras",
        "runs/pictures/report/per_class.csv",
        "runs/pictures/augmentation.png",
    )
    assert all((home / file).exists() for file in files)
    assert len(list((home / "reasons").rglob("*.png"))) == 5 * 20


@needs_xla_on_the_cpu  # which Keras' fit takes for granted
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
    again = keras.models.load_model("pictures.keras")
    images = next(iter(names["val"]))[0]
    np.testing.assert_allclose(again(images), names["model"](images), atol=1e-5)
