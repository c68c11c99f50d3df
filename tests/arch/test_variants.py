"""Every variant against the original's numbers: by the plan, and as built."""

import json
import math

import pytest
from helpers.reference import reference_dir
from helpers.shapes import without_values

from efficientnet_tf.arch import cost
from efficientnet_tf.arch.scaling import block_plans
from efficientnet_tf.arch.variants import VARIANTS, model_config
from efficientnet_tf.config import UserError
from efficientnet_tf.nn.network import build_network, network_blocks

ORIGINAL = json.loads((reference_dir() / "architectures.json").read_text())
# Trainable and non-trainable parameters of `keras.applications.EfficientNetV2*`, which
# `test_keras_applications.py` builds; XL is in the paper's table with 208M, and has 208,119,808
# trainable parameters in timm.
V2 = {
    "efficientnetv2-b0": (7_139_704, 60_608),
    "efficientnetv2-b1": (8_141_052, 71_072),
    "efficientnetv2-b2": (10_096_086, 82_288),
    "efficientnetv2-b3": (14_358_406, 109_216),
    "efficientnetv2-s": (21_458_488, 153_872),
    "efficientnetv2-m": (54_139_356, 292_032),
    "efficientnetv2-l": (118_515_272, 512_576),
    "efficientnetv2-xl": (208_119_808, 777_024),
}


def test_every_variant_is_pinned():
    assert set(VARIANTS) == set(ORIGINAL) | set(V2)


def reductions(config):
    """`reduction_i` shapes from the plan: what is last before each halving."""
    shapes = [piece.output_shape for piece in cost.pieces(config)[:-2]]  # not head, classifier
    sides = [shape[0] for shape in shapes[1:]] + [0]
    return [shape for shape, side in zip(shapes, sides, strict=True) if side != shape[0]]


@pytest.mark.parametrize("name", ORIGINAL)
def test_plan_is_the_original(name):
    config, expected = VARIANTS[name], ORIGINAL[name]
    total = cost.total(config)
    assert total.trainable == expected["trainable_params"]
    assert total.non_trainable == expected["non_trainable_params"]
    assert total.multiply_adds == expected["conv_dense_madds"]
    assert len(block_plans(config)) == expected["blocks"]
    assert reductions(config) == [tuple(shape) for shape in expected["reductions"].values()]
    assert config.input_size == expected["input_size"]
    assert config.num_classes == expected["num_classes"]
    assert config.mean_rgb == pytest.approx(expected["mean_rgb"])
    assert config.stddev_rgb == pytest.approx(expected["stddev_rgb"])


@pytest.mark.parametrize("name", V2)
def test_v2_parameters(name):
    total = cost.total(VARIANTS[name])
    assert (total.trainable, total.non_trainable) == V2[name]


def _families():
    """The networks of at most 30 blocks, every family among them, and L2 for its size."""
    small = [name for name, config in VARIANTS.items() if len(block_plans(config)) <= 30]
    return [*small, "efficientnet-l2", "efficientnetv2-l", "efficientnet-h-b5"]


@pytest.mark.slow
@pytest.mark.parametrize("name", _families())
def test_built_network_is_the_plan(name):
    with without_values():
        model = build_network(VARIANTS[name])
    total = cost.total(VARIANTS[name])
    assert _count(model.trainable_weights) == total.trainable
    assert _count(model.non_trainable_weights) == total.non_trainable
    pieces = {piece.name: piece.output_shape for piece in cost.pieces(VARIANTS[name])}
    blocks = network_blocks(model)
    assert len(blocks) == len(block_plans(VARIANTS[name]))
    for layer in [model.get_layer("stem"), *blocks, model.get_layer("head")]:
        assert layer.output.shape[1:] == pieces[layer.name], layer.name


def _count(variables):
    return sum(math.prod(variable.shape) for variable in variables)


def test_unknown_names_list_the_nearest():
    with pytest.raises(UserError, match="did you mean efficientnet-lite0"):
        model_config("efficientnet-light0")
    with pytest.raises(UserError, match="width_coefficient"):
        model_config("efficientnet-b0", width_coeficient=2.0)


# In millions, from the cards of the networks in timm, at the size that each card names.
@pytest.mark.parametrize(
    ("name", "millions"),
    [("efficientnet-b0", 6.7), ("efficientnet-b1", 10.9), ("efficientnet-b7", 289.9)],
)
def test_activations_are_those_that_timm_publishes(name, millions):
    assert round(cost.total(model_config(name)).activations / 1e6, 1) == millions
