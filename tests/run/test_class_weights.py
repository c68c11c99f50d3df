"""`--class_weights`: balanced as scikit-learn has it, files, and what is wrong with them."""

import json

import numpy as np
import pytest
from helpers.command import TINY, call
from sklearn.datasets import load_digits
from sklearn.utils.class_weight import compute_class_weight

from efficientnet_tf import data
from efficientnet_tf.config import DataConfig, UserError
from efficientnet_tf.run.class_weights import class_weights, in_words

DIGITS = DataConfig(dataset="digits")


@pytest.fixture(scope="module")
def source():
    return data.open_source(DIGITS)


def labels_of(source):
    return [int(source.read_train(i).label) for i in range(source.train_size)]


def test_balanced_is_scikit_learns(source):
    labels = labels_of(source)
    assert len(labels) < len(load_digits().target)  # the training split
    expected = compute_class_weight("balanced", classes=np.arange(10), y=labels)
    weights = class_weights("balanced", "softmax", source, 10)
    np.testing.assert_allclose(weights, expected)
    assert (
        in_words(weights, source) == f"class weights: {min(expected):.4g} (3) to "
        f"{max(expected):.4g} (8)"
    )


@pytest.mark.parametrize("loss", ["sigmoid", "focal"])
def test_balanced_for_several_labels_is_the_ratio_of_scikit_learns_two_weights(source, loss):
    weights = class_weights("balanced", loss, source, 10)
    labels = np.array(labels_of(source))
    for digit in range(10):
        off, on = compute_class_weight("balanced", classes=np.arange(2), y=(labels == digit) * 1)
        assert weights[digit] == pytest.approx(on / off)


@pytest.mark.parametrize("header", ["", "name,weight\n", "class,weight\n"])
def test_files_name_classes_or_number_them(source, tmp_path, header):
    expected = np.arange(1, 11) / 4
    text = "".join(f"{i},{(i + 1) / 4}\n" for i in range(10))
    (tmp_path / "w.csv").write_text(header + text)
    (tmp_path / "w.json").write_text(json.dumps({str(i): (i + 1) / 4 for i in range(10)}))
    for name in ("w.csv", "w.json"):
        weights = class_weights(str(tmp_path / name), "softmax", source, 10)
        np.testing.assert_array_equal(weights, expected)
    # A background class weighs 1.
    np.testing.assert_array_equal(
        class_weights(str(tmp_path / "w.csv"), "softmax", source, 11), [1, *expected]
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"0": 1}', "has no weight for 9 of 10 classes, '1' for one"),
        ('{"0": 1, "zero": 2}', "unknown class 'zero'"),
        ('{"0": 1, "0": 2}', "has two weights for class '0'"),
        ("0,1\n1,-2\n", "the weight of class '1' is -2, not positive"),
        ("0,1\n1,heavy\n", "neither a JSON object"),
        ("[1, 2]", "neither a JSON object"),
        ('{"0": 1', "neither a JSON object"),
    ],
)
def test_a_bad_file_is_one_line(source, tmp_path, text, reason):
    (tmp_path / "w").write_text(text)
    with pytest.raises(UserError, match=f"^--class_weights={tmp_path}/w.*{reason}") as error:
        class_weights(str(tmp_path / "w"), "softmax", source, 10)
    assert "\n" not in str(error.value)


def test_what_cannot_be_balanced_or_read_is_said(source, tmp_path):
    with pytest.raises(UserError, match="neither a file that can be read nor balanced"):
        class_weights("balancd", "softmax", source, 10)
    synthetic = data.open_source(DataConfig(dataset="synthetic"))
    with pytest.raises(UserError, match="does not say how many pictures a class has"):
        class_weights("balanced", "softmax", synthetic, 1000)


@pytest.mark.slow
def test_a_run_says_its_weights_and_keeps_its_loss(tmp_path):
    flags = [*TINY, f"--model_dir={tmp_path}", "--mode=train", "--train_steps=2"]
    started = call(*flags, "--loss=sigmoid", "--class_weights=balanced")
    assert started.returncode == 0, started.stderr
    assert started.stdout.startswith("class weights: 8.")
    refused = call(*flags, "--loss=softmax")
    assert refused.returncode == 1
    assert 'loss is "sigmoid" there, "softmax" here' in refused.stderr
    assert call(*flags, "--train_steps=3", "--class_weights=balanced").returncode == 0
    assert (tmp_path / "loss.txt").read_text() == "sigmoid\n"
