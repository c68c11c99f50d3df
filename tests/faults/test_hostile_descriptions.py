"""Descriptions of networks that cannot be built, or would fill the memory."""

import json

import pytest
from helpers.fuzz_weights import NETWORK

from efficientnet_tf.arch.variants import VARIANTS
from efficientnet_tf.config import UserError
from efficientnet_tf.weights.description import Description

NETWORKS = [
    {"name": 5},
    {"blocks": []},
    {"blocks": [[]]},
    {"width_coefficient": 1e9},
    {"width_coefficient": "wide"},
    {"width_coefficient": float("nan")},
    {"depth_coefficient": 1e9},
    {"depth_coefficient": 10**12},
    {"head_filters": 1e3},
    {"head_filters": 10**9},
    {"depth_divisor": 0},
    {"min_rounding": None},
    {"input_size": 10**9},
    {"input_size": 0},
    {"batch_norm_epsilon": -1.0},
    {"mean_rgb": [1, 2]},
    {"mean_rgb": ["1", "2", "3"]},
    {"padding": 1},
]
BLOCKS = [
    {"kernel_size": 10**5},
    {"num_repeat": 10**9},
    {"num_repeat": True},
    {"strides": 0},
    {"se_ratio": "x"},
    {"id_skip": 1},
    {"expand_ratio": 10**8},
]


@pytest.mark.parametrize("part, changes", [*((0, c) for c in NETWORKS), *((1, c) for c in BLOCKS)])
@pytest.mark.fault(
    "Weights",
    "a description of no network, or one of 1e29 parameters",
    "refused before it is built",
)
def test_a_description_of_no_network_is_refused(part, changes):
    described = json.loads(Description(NETWORK).to_json())
    (described["network"], described["network"]["blocks"][0])[part].update(changes)
    with pytest.raises(UserError, match="^here is damaged: not a model's fields$"):
        Description.from_json(json.dumps(described), "here")


@pytest.mark.parametrize(
    "changes", [{"step": "x"}, {"kind": 5}, {"loss": None}, {"label_names": [1]}, {"more": 1}]
)
def test_a_description_of_another_form_is_refused(changes):
    described = {**json.loads(Description(NETWORK).to_json()), **changes}
    with pytest.raises(UserError, match="^here is damaged"):
        Description.from_json(json.dumps(described), "here")


def test_every_variant_can_be_described():
    for config in VARIANTS.values():
        described = Description(config, label_names=("a",), step=3, kind="ema")
        assert Description.from_json(described.to_json(), "here") == described
