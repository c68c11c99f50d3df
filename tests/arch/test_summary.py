"""The text tables: the paper's table 1, and the original's counts."""

import csv
import json

import keras
import pytest
from helpers.reference import reference_dir
from helpers.toy import toy_config

from efficientnet_tf.arch.summary import family_table
from efficientnet_tf.config import UserError
from efficientnet_tf.network_summary import summary

ORIGINAL = json.loads((reference_dir() / "architectures.json").read_text())
# Tan & Le 2019, table 1, stages 2..8: operator, output resolution, channels, layers. (The paper
# prints the input resolution of a stage, which is its output's before striding.)
PAPER = [
    ("MBConv1 3x3, SE", "112 x 112", "16", "1"),
    ("MBConv6 3x3, SE", "56 x 56", "24", "2"),
    ("MBConv6 5x5, SE", "28 x 28", "40", "2"),
    ("MBConv6 3x3, SE", "14 x 14", "80", "3"),
    ("MBConv6 5x5, SE", "14 x 14", "112", "3"),
    ("MBConv6 5x5, SE", "7 x 7", "192", "4"),
    ("MBConv6 3x3, SE", "7 x 7", "320", "1"),
]


def columns(line):
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def test_stages_of_b0_are_the_papers():
    lines = summary("efficientnet-b0").splitlines()
    stages = [columns(line)[1:5] for line in lines if line[:1].isdigit()]
    assert stages == [list(row) for row in PAPER]


@pytest.mark.parametrize(
    "name, operator",
    [
        ("efficientnet-x-b0", "space-to-depth, MBConv1 2x2, SE"),
        ("efficientnet-h-b5", "Fused-MBConv4 3x3, SE"),
        ("efficientnet-edgetpu-S", "Fused-MBConv8 3x3"),
        ("efficientnet-condconv-b0-8e", "CondConv6 5x5, 8 experts, SE"),
        ("efficientnetv2-s", "Fused-MBConv1 3x3"),
    ],
)
def test_operators(name, operator):
    assert operator in [columns(line)[1] for line in summary(name).splitlines()[4:-1]]


def test_family_table_has_the_originals_counts():
    rows = {columns(line)[0]: columns(line) for line in family_table().splitlines()}
    for name, expected in ORIGINAL.items():
        assert rows[name][1] == str(expected["input_size"])
        counts = (expected["blocks"], expected["trainable_params"], expected["conv_dense_madds"])
        assert rows[name][4:] == [f"{count:,}" for count in counts]


def test_overrides():
    assert "1 x 1        17" in summary("efficientnet-b0", num_classes=17)
    with pytest.raises(UserError):
        summary("efficientnet-b0", classes=17)


def test_the_table_as_csv(tmp_path):
    path = tmp_path / "stages.csv"
    text = summary("efficientnet-b0", csv=path)
    rows = list(csv.DictReader(path.open()))
    assert [row["stage"] for row in rows] == ["stem", *"1234567", "head", "top", "total"]
    assert len(rows) == len(text.splitlines()) - 4
    total, parts = rows[-1], rows[:-1]
    for column in ("parameters", "non_trainable_parameters", "multiply_adds", "activations"):
        assert int(total[column]) == sum(int(row[column]) for row in parts)
    original = ORIGINAL["efficientnet-b0"]
    assert int(total["parameters"]) == original["trainable_params"]
    assert int(total["flops"]) == 2 * original["conv_dense_madds"]
    assert int(total["peak_memory_bytes"]) == max(int(row["peak_memory_bytes"]) for row in parts)
    # Stage 2 expands 16 channels of 112 x 112 to 96, the largest tensor of the network.
    assert int(parts[2]["peak_memory_bytes"]) >= 4 * 112 * 112 * (16 + 96)


@pytest.mark.slow
def test_a_keras_model_and_its_configuration_have_the_same_table():
    from efficientnet_tf.nn.folding import fold_batch_norm
    from efficientnet_tf.nn.network import build_network

    config = toy_config(activation="relu")
    model = build_network(config)
    assert summary(model) == summary(config)
    total = summary(model).splitlines()[-1].split()
    assert int(total[2].replace(",", "")) == sum(
        v.shape.num_elements() for v in model.trainable_variables
    )
    features = build_network(config, include_top=False, input_shape=(64, 64, 3))
    assert "top" not in [line.split()[0] for line in summary(features).splitlines()[2:]]
    for wrong, why in (
        (fold_batch_norm(model), "folded"),
        (build_network(config, include_top=False), "input_shape"),
        (keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]), "not a network"),
    ):
        with pytest.raises(UserError, match=why):
            summary(wrong)
    with pytest.raises(UserError, match="dropout_rate"):
        summary(model, dropout_rate=0.1)
