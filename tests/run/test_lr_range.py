"""`--mode=lr_range` as a user calls it, beside a run that is there already."""

import csv
import re

import numpy as np
import pytest
import tensorflow as tf
from helpers.command import TINY, call
from PIL import Image
from tensorflow.python.summary.summary_iterator import summary_iterator

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A short run, its files, and what the range test in its folder said."""
    folder = tmp_path_factory.mktemp("run")
    trained = call(*TINY, f"--model_dir={folder}", "--train_steps=2")
    assert trained.returncode == 0, trained.stderr
    before = contents(folder)
    said = call(*TINY, f"--model_dir={folder}", "--mode=lr_range", "--lr_range_steps=20")
    assert said.returncode == 0, said.stderr
    return folder, before, said.stdout


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows(folder):
    with open(folder / "lr_range.csv") as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def test_the_run_stays_as_it_is(run):
    folder, before, _ = run
    after = contents(folder)
    assert {path: after.pop(path) for path in before} == before
    assert {path.name for path in after} == {"lr_range.csv", "lr_range.png"}


def test_it_trains_from_where_the_run_began(run):
    """Step 0 has the loss of the run's own first step, which ended with other weights."""
    folder, _, _ = run
    (path,) = (folder / "train").glob("events*")
    values = [v for event in summary_iterator(str(path)) for v in event.summary.value]
    losses = [tf.make_ndarray(v.tensor) for v in values if v.tag == "loss/loss"]
    assert rows(folder)[0]["loss"] == pytest.approx(losses[0], rel=1e-4)


def test_the_last_line_is_the_flag_for_this_batch_size(run):
    folder, _, said = run
    base = float(re.match(r"--base_learning_rate=(\S+) .*=16, see", said.splitlines()[-1])[1])
    table = rows(folder)
    assert [row["step"] for row in table] == list(range(len(table)))
    lowest = min(table, key=lambda row: row["smoothed_loss"])["learning_rate"]
    assert base * 16 / 256 == pytest.approx(lowest / 4, rel=0.06)


def test_the_picture_marks_the_rate(run):
    folder, _, _ = run
    picture = np.asarray(Image.open(folder / "lr_range.png"))
    red = (picture[..., 0] > 150) & (picture[..., 1:] < 80).all(-1)
    assert picture.shape == (600, 960, 3)
    assert 1 <= red.any(0).sum() <= 3 and red.any(1).sum() > 400  # one vertical line
