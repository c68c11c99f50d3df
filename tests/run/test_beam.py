"""The programs of docs/batch_prediction.md, on Beam's runner for one machine."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
from helpers.command import ROOT, call
from PIL import Image

import efficientnet_tf as en
from efficientnet_tf.data.sources.manifest import read_manifest

pytest.importorskip("apache_beam", reason="pip install 'efficientnet-tf[beam]'")
pytestmark = pytest.mark.slow
DOCUMENT = (ROOT / "docs" / "batch_prediction.md").read_text()
_, PREDICT, PREPARE = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
SIZE = 64


def run(folder, program):
    path = folder / "program.py"
    path.write_text(program)
    command = [sys.executable, path.name]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=500)
    assert result.returncode == 0, result.stderr


@pytest.fixture
def folder(tmp_path):
    """With pictures of two classes, in the two splits."""
    draws = np.random.RandomState(0)
    for split, count in (("train", 5), ("val", 2)):
        for name in ("cat", "dog"):
            for number in range(count):
                path = tmp_path / "pictures" / split / name / f"{number}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(draws.randint(0, 256, (80, 90, 3), np.uint8)).save(path)
    return tmp_path


def test_predictions_are_those_of_the_model(folder):
    model = en.build_model("efficientnet-lite0", num_classes=3, input_size=SIZE)
    en.export(model, folder / "lite0")
    run(folder, PREDICT.replace("CONFIG.input_size", str(SIZE)))
    lines = [
        json.loads(line)
        for path in folder.glob("predictions-*")
        for line in path.read_text().splitlines()
    ]
    paths = sorted(str(path) for path in (folder / "pictures").rglob("*.jpg"))
    assert sorted(str(folder / line["file"]) for line in lines) == paths
    for line in lines:
        picture = en.data.read_picture(str(folder / line["file"]), SIZE, "bilinear")
        (expected,) = model(picture[None]).numpy()
        assert line["class"] == expected.argmax()
        assert line["probability"] == pytest.approx(expected.max(), rel=1e-4)


def test_shards_are_those_of_one_machine(folder):
    run(folder, PREPARE.replace("1024", "3").replace("128", "2"))
    flags = ["--mode=prepare", "--dataset=folder", f"--data_dir={folder / 'pictures'}"]
    result = call(*flags, f"--prepared_dir={folder / 'one'}", "--num_shards=3,2")
    assert result.returncode == 0, result.stderr
    assert read_manifest(str(folder / "one")) == read_manifest(str(folder / "shards"))
    for path in (folder / "one").iterdir():
        assert (folder / "shards" / path.name).read_bytes() == path.read_bytes()
    result = call(*flags, f"--prepared_dir={folder / 'shards'}")
    assert "prepared before: all files are what manifest.json says" in result.stdout
