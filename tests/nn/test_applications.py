"""Building by name: constructors, overrides, weights, predictions."""

import inspect

import keras
import numpy as np
import pytest
from helpers.reference import read_case, reference_dir

from efficientnet_tf import applications
from efficientnet_tf.arch.variants import VARIANTS
from efficientnet_tf.build import build_model, feature_extractor
from efficientnet_tf.config import UserError
from efficientnet_tf.imagenet import decode_predictions, imagenet_labels, preprocess_input

CASE = reference_dir() / "forward" / "efficientnet-lite0"
SMALL = {"width_coefficient": 0.25, "depth_coefficient": 0.5}


def test_every_variant_has_a_constructor():
    assert len(applications.CONSTRUCTORS) == len(VARIANTS)
    spelled = """B0 B7 B8 L2 Lite0 Lite4 EdgeTPUS EdgeTPUL CondConvB04E CondConvB08EDepth XB0 XTPUB7
    XGPUB3 HB5 HTPUB6 V2B0 V2B3 V2S V2M V2L V2XL"""
    for name in spelled.split():
        constructor = getattr(applications, f"EfficientNet{name}")
        assert constructor.__name__ == f"EfficientNet{name}"
        assert constructor.__doc__.startswith(f"EfficientNet{name}: the network `efficientnet")


@pytest.mark.parametrize("name", ["B0", "B7", "V2B0", "V2B3", "V2S", "V2L"])
def test_signature_is_that_of_keras_applications(name):
    ours, theirs = (
        inspect.signature(getattr(module, f"EfficientNet{name}")).parameters
        for module in (applications, keras.applications)
    )
    assert list(ours) == list(theirs)
    # The number of classes is the weights' by default, the name the original's.
    same = set(ours) - {"classes", "name"}
    assert {n: ours[n].default for n in same} == {n: theirs[n].default for n in same}


@pytest.mark.slow
def test_v2_without_preprocessing():
    images = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype("float32")
    arguments = {"weights": None, "input_shape": (32, 32, 3), "include_top": False}
    inside = applications.EfficientNetV2B0(**arguments)
    outside = applications.EfficientNetV2B0(include_preprocessing=False, **arguments)
    outside.set_weights(inside.get_weights())
    normalised = preprocess_input(images, model_name="efficientnetv2-b0")
    np.testing.assert_allclose(outside(normalised), inside(images), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_constructor_arguments():
    tensor = keras.Input((64, 48, 3))
    model = applications.EfficientNetLite0(
        include_top=False, weights=None, input_tensor=tensor, pooling="max", name="mine"
    )
    assert model.name == "mine"
    assert model.input is tensor
    assert model.output.shape == (None, 1280)
    assert applications.EfficientNetEdgeTPUS(weights=None).output.shape == (None, 1001)
    assert applications.EfficientNetB0(
        weights=None, classes=5, input_shape=(32, 32, 3)
    ).output.shape == (None, 5)


@pytest.mark.slow
def test_weights_from_a_checkpoint():
    case = read_case(CASE)
    io = np.load(CASE / case["io"])
    overrides = {**case["overrides"], "classifier_activation": None}
    del overrides["num_classes"]  # the checkpoint knows
    model = build_model(
        "efficientnet-lite0",
        weights=str(CASE),
        input_shape=(64, 64, 3),
        include_preprocessing=False,
        **overrides,
    )
    np.testing.assert_allclose(model(io["x"]), io["ema_logits"], rtol=0, atol=1e-4)


@pytest.mark.slow
def test_backbone_with_weights():
    case = read_case(CASE)
    io = np.load(CASE / case["io"])
    backbone = feature_extractor(
        "efficientnet-lite0",
        ["reduction_3", "reduction_5"],
        weights=str(CASE),
        include_preprocessing=False,
        **SMALL,
    )
    assert backbone.input.shape == (None, None, None, 3)
    for name, value in backbone(io["x"]).items():
        np.testing.assert_allclose(value, io[f"ema_{name}"], rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        (("efficientnet-b00",), "did you mean efficientnet-b0"),
        (("efficientnet-b0", 7, "nowhere"), "nowhere"),
    ],
)
def test_mistakes(arguments, complaint):
    with pytest.raises(UserError, match=complaint):
        build_model(*arguments)


def test_unknown_override():
    with pytest.raises(UserError, match="dropout_rate"):
        build_model("efficientnet-b0", dropout=0.1)


@pytest.mark.slow
def test_preprocess_input():
    images = np.full((1, 2, 2, 3), 255.0, "float32")
    assert preprocess_input(images) is images
    np.testing.assert_allclose(preprocess_input(images, model_name="efficientnet-lite0"), 1.0)
    expected = (1 - np.array([0.485, 0.456, 0.406])) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(
        preprocess_input(images, model_name="efficientnet-b0")[0, 0, 0], expected, 1e-5
    )
    inside = build_model("efficientnetv2-s", **SMALL).get_layer("normalization")
    np.testing.assert_allclose(
        inside(images), preprocess_input(images, model_name="efficientnetv2-s"), 1e-5
    )


def test_decode_predictions():
    predictions = np.zeros((2, 1000), "float32")
    predictions[0, [1, 5, 999]] = 0.5, 0.3, 0.2
    predictions[1, 0] = 1.0
    first, second = decode_predictions(predictions, top=3)
    assert [(wordnet, name, round(p, 3)) for wordnet, name, p in first] == [
        ("n01443537", "goldfish", 0.5),
        ("n01496331", "electric_ray", 0.3),
        ("n15075141", "toilet_tissue", 0.2),
    ]
    assert second[0] == ("n01440764", "tench", 1.0)
    with_background = np.concatenate([[[0.1], [2.0]], predictions], axis=1)
    first, second = decode_predictions(with_background, top=2)
    assert first[0][:2] == ("n01443537", "goldfish")
    assert second[0] == ("background", "background", 2.0)
    assert len(imagenet_labels()) == 1000
    with pytest.raises(UserError, match="1000 or 1001"):
        decode_predictions(predictions[:, :10])
