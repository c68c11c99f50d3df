"""Training through the command line on files: records and folders, with every augmentation."""

import json

import numpy as np
import pytest
from helpers.command import TINY, call, main
from helpers.shard_writer import write_imagenet
from PIL import Image

pytestmark = pytest.mark.slow


def train(folder, *arguments):
    common = [flag for flag in TINY if not flag.startswith("--dataset")]
    result = call(*common, f"--model_dir={folder}", "--train_steps=2", *arguments)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return json.loads(result.stdout.splitlines()[-1])


def test_records(tmp_path):
    for split in ("train", "validation"):
        write_imagenet(tmp_path, split, [9, 12])
    result = train(
        tmp_path / "run",
        *("--dataset=tfrecord", f"--data_dir={tmp_path}"),
        *("--augment_name=autoaugment", "--mixup_alpha=0.2", "--random_erasing=0.5"),
        *("--distribution_strategy=default", "--lr_schedule=cosine"),
    )
    assert result["num_images"] == 21


@pytest.fixture
def pictures(tmp_path):
    random = np.random.RandomState(0)
    for split in ("train", "val"):
        for name in ("cats", "dogs"):
            folder = tmp_path / "pictures" / split / name
            folder.mkdir(parents=True)
            pixels = random.randint(0, 256, [6, 40, 50, 3]).astype("uint8")
            for index, image in enumerate(pixels):
                Image.fromarray(image).save(folder / f"{index}.jpg")
    return tmp_path / "pictures"


def test_folder(pictures, tmp_path):
    result = train(
        tmp_path / "run",
        *("--dataset=folder", f"--data_dir={pictures}"),
        *("--augment_name=randaugment", "--cutmix_alpha=1.0", "--optimizer=lars", "--use_bfloat16"),
    )
    assert result["num_images"] == 12
    assert json.loads((tmp_path / "run" / "labels.json").read_text()) == ["cats", "dogs"]
    params = json.loads((tmp_path / "run" / "model_params.txt").read_text())
    assert params["num_classes"] == 2


def test_a_broken_picture_ends_the_run_in_one_line(pictures, tmp_path):
    broken = pictures / "train" / "cats" / "0.jpg"
    broken.write_bytes(broken.read_bytes()[:200])
    result = main(
        *[flag for flag in TINY if not flag.startswith("--dataset")],
        *("--dataset=folder", f"--data_dir={pictures}", f"--model_dir={tmp_path / 'run'}"),
        "--train_steps=4",
    )
    assert result.returncode == 1
    # libjpeg itself complains on the standard error.
    lines = [line for line in result.stderr.splitlines() if "JPEG library" not in line]
    assert len(lines) == 1 and lines[0].startswith("error: ") and "0.jpg" in lines[0]
