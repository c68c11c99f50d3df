"""Logits and intermediate features equal to the original's, from its own checkpoints."""

import keras
import numpy as np
import pytest
from helpers.reference import read_case, reference_cases

from efficientnet_tf.arch.variants import model_config
from efficientnet_tf.nn.network import build_network, feature_extractor
from efficientnet_tf.weights.formats.tf1_checkpoint import load_tf1_checkpoint

CASES = reference_cases("forward")


def relative_error(value, expected):
    value, expected = keras.ops.convert_to_numpy(value), np.asarray(expected)
    return np.abs(value - expected).max() / max(1.0, np.abs(expected).max())


def test_there_are_cases():
    assert CASES


@pytest.mark.parametrize("directory", CASES, ids=lambda path: path.name)
def test_forward_case(directory):
    case = read_case(directory)
    io = np.load(directory / case["io"])
    size = case["image_size"]
    model = build_network(
        model_config(case["model_name"], **case["overrides"]),
        input_shape=(size, size, 3),
        classifier_activation=None,
        include_preprocessing=False,
    )
    checkpoint = str(directory / case["checkpoint"])
    load_tf1_checkpoint(model, checkpoint, ema=False)
    assert relative_error(model(io["x"]), io["logits_raw"]) <= case["tolerance"]["logits"]
    load_tf1_checkpoint(model, checkpoint, ema=True)
    reductions = [f"reduction_{i}" for i in range(1, 6)]
    outputs = feature_extractor(model, [*reductions, "logits"])(io["x"])
    assert relative_error(outputs["logits"], io["ema_logits"]) <= case["tolerance"]["logits"]
    for name in reductions:
        error = relative_error(outputs[name], io[f"ema_{name}"])
        assert error <= case["tolerance"]["reductions"], name
