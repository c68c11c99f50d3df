"""What is told of an evaluation: classes and their names, the matrix as a picture, a report."""

import csv
import json

import numpy as np
import pytest
from helpers.command import TINY, call
from helpers.toy import tiny_run
from PIL import Image
from sklearn.metrics import precision_recall_fscore_support

from efficientnet_tf.run.confusion_picture import confusion_picture
from efficientnet_tf.run.findings import Findings
from efficientnet_tf.run.fit import fit

NAMES = ["background", "cat", "dog", "cow"]
CONFUSION = np.array([[0, 0, 0, 0], [0, 7, 2, 1], [0, 4, 4, 0], [0, 0, 0, 3]])


def test_classes_are_those_of_scikit_learn():
    true, predicted = (
        np.repeat(axis.ravel(), CONFUSION.ravel()) for axis in np.indices(CONFUSION.shape)
    )
    _, recall, _, images = precision_recall_fscore_support(true, predicted, labels=[1, 2, 3])
    background, *classes = Findings(NAMES, CONFUSION, ()).classes()
    assert (background.number, background.images, background.top_1) == (-1, 0, None)
    assert [c.number for c in classes] == [0, 1, 2]
    assert [c.images for c in classes] == images.tolist()
    assert [c.top_1 for c in classes] == pytest.approx(recall.tolist())
    assert [c.predicted for c in classes] == [11, 6, 4]
    assert [(c.most_confused_with, c.times) for c in classes] == [("dog", 2), ("cat", 4), (None, 0)]


def test_worst_classes_have_mistakes_and_enough_images():
    few = np.array([[0, 4], [1, 9]])
    assert Findings(["few", "many"], few, ()).worst_classes() == [
        "worst classes:",
        "  many   90.00% of 10, 1 taken for few",
    ]
    assert Findings(NAMES, CONFUSION, ()).worst_classes()[1:] == [
        "  dog   50.00% of 8, 4 taken for cat",
        "  cat   70.00% of 10, 2 taken for dog",
    ]
    assert Findings(NAMES, np.diag([9, 9, 9, 9]), ()).worst_classes() == []


def test_cells_are_darker_the_larger_their_share_of_the_row():
    """Names of two letters leave the matrix in the lower left; cells have 64 pixels a side."""
    picture = confusion_picture(CONFUSION * 1000, ["bg", "ca", "do", "co"])
    light = np.asarray(Image.fromarray(picture).convert("L"), int)
    top = light.shape[0] - 8 - 4 * 64
    left = np.flatnonzero(light[-9] < 240)[0]  # the frame's lower edge
    corners = light[top + 4 :: 64, left + 4 :: 64][:4, :4]
    shares = CONFUSION / CONFUSION.sum(1, keepdims=True).clip(1)
    order = np.argsort(shares, axis=None)
    steps = np.diff(corners.ravel()[order]), np.diff(shares.ravel()[order])
    assert ((steps[0] < 0) == (steps[1] > 0)).all()


def test_of_many_classes_those_confused_are_drawn():
    matrix, names = np.eye(200, dtype=int) * 5, ["short"] * 200
    names[170] = "a name that takes more room"
    without = confusion_picture(matrix, names)
    assert without.shape[0] < confusion_picture(matrix[:50, :50], names).shape[0]
    matrix[170, 190] = 1
    assert confusion_picture(matrix, names).shape[1] > without.shape[1]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    fit(tiny_run(folder, train_steps=2))
    return folder


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.reader(file))


@pytest.mark.slow
def test_report(run, tmp_path):
    report = tmp_path / "new" / "report"
    done = call("--mode=eval", "--dataset=digits", f"--model_dir={run}", f"--eval_report={report}")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert f"report: {report}" in lines
    result, facts = json.loads(lines[-1]), json.loads((report / "report.json").read_text())
    assert facts.items() >= result.items()
    assert (facts["dataset"], facts["evaluated"]) == ("digits", str(run / "ckpt-2"))
    header, *matrix = rows_of(report / "confusion_matrix.csv")
    assert header[1:] == [row[0] for row in matrix] == [str(digit) for digit in range(10)]
    counts = np.array([row[1:] for row in matrix], int)
    assert counts.sum() == 360
    assert counts.trace() == round(result["top_1_accuracy"] * 360)
    header, *rows = rows_of(report / "per_class.csv")
    assert header[:2] == ["class", "name"]
    classes = [dict(zip(header, row, strict=True)) for row in rows]
    assert [int(c["images"]) for c in classes] == counts.sum(1).tolist()
    assert [int(c["correct"]) for c in classes] == counts.diagonal().tolist()
    for name in ("confusion_matrix.png", "worst_pictures.png"):
        assert min(Image.open(report / name).size) > 400


@pytest.mark.slow
def test_names_of_a_network_with_a_background_class(tmp_path):
    call(*TINY, f"--model_dir={tmp_path}/run", "--train_steps=2", "--num_label_classes=11")
    report = tmp_path / "report"
    call(
        "--mode=eval", "--dataset=digits", f"--model_dir={tmp_path}/run", f"--eval_report={report}"
    )
    rows = rows_of(report / "per_class.csv")[1:]
    numbers, names, images = zip(*(row[:3] for row in rows), strict=True)
    assert numbers == tuple(map(str, range(-1, 10)))
    assert names == ("background", *map(str, range(10)))
    assert images == ("0", "36", "36", "36", "36", "37", "36", "36", "36", "35", "36")


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_report_into_a_file_is_refused_first(tmp_path, place):
    (tmp_path / "file").write_text("kept")
    done = call("--mode=eval", "--model_dir=nowhere", f"--eval_report={tmp_path / place}")
    assert done.stderr == (
        f"error: --eval_report={tmp_path / place}: {tmp_path / 'file'} is not a folder\n"
    )
    assert (tmp_path / "file").read_text() == "kept"
