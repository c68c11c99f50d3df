"""Networks of keras.applications against ours with their weights: equal outputs."""

import math

import keras
import numpy as np
import pytest

from efficientnet_tf.arch.variants import model_config
from efficientnet_tf.config import UserError
from efficientnet_tf.nn.network import build_network
from efficientnet_tf.weights.formats.keras_applications import normalization
from efficientnet_tf.weights.loading import load_weights

# What keras.applications computes before its weights are there: pixels / 255.
RAW_INPUT = {"mean_rgb": (0.0,) * 3, "stddev_rgb": (255.0,) * 3}
SIDE = 64


def randomise(model, gain, seed=0):
    """Every weight and statistic away from its initial value.

    The gain of the kernels is such that two images still differ in the logits (with Keras' own
    they do not) and that rounding errors do not grow.
    """
    random = np.random.default_rng(seed)
    for variable in model.weights:
        if variable.path.endswith(("gamma", "moving_variance")):
            variable.assign(random.uniform(0.5, 1.5, variable.shape))
        elif variable.path.endswith(("beta", "bias", "moving_mean")):
            variable.assign(random.normal(0, 0.1, variable.shape))
        elif variable.path.endswith("kernel"):
            *window, inputs, outputs = variable.shape
            fan_in = math.prod(window) * (1 if outputs == 1 else inputs)  # 1: depthwise
            variable.assign(random.normal(0, gain / np.sqrt(fan_in), variable.shape))


def applications_network(number, **kwargs):
    make = getattr(keras.applications, f"EfficientNetB{number}")
    model = make(weights=None, input_shape=(SIDE, SIDE, 3), classifier_activation=None, **kwargs)
    randomise(model, gain={0: 1.5, 2: 1.45}[number])
    return model


def our_network(number, **overrides):
    config = model_config(f"efficientnet-b{number}", **{**RAW_INPUT, **overrides})
    return build_network(config, input_shape=(SIDE, SIDE, 3), classifier_activation=None)


def relative_error(outputs, expected):
    """The largest difference, as a part of the largest value."""
    return np.abs(np.asarray(outputs) - expected).max() / np.abs(expected).max()


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).uniform(0, 255, (2, SIDE, SIDE, 3)).astype("float32")


@pytest.fixture(scope="module")
def reference():
    return applications_network(0)


@pytest.fixture(scope="module")
def expected(reference, images):
    logits = np.asarray(reference(images))
    assert np.abs(logits[0] - logits[1]).max() > 0.02 * np.abs(logits).max()
    return logits


@pytest.fixture(scope="module")
def model():
    return our_network(0)


@pytest.fixture(scope="module")
def reference_v2():
    make = keras.applications.EfficientNetV2B0
    model = make(weights=None, input_shape=(SIDE, SIDE, 3), classifier_activation=None)
    randomise(model, gain=1.2)
    return model


def save(model, path):
    (model.save_weights if path.name.endswith(".weights.h5") else model.save)(path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".weights.h5", ".h5", ".keras"])
def test_equal_outputs_b0(suffix, reference, expected, model, tmp_path, images):
    path = save(reference, tmp_path / f"b0{suffix}")
    randomise(model, gain=1.5, seed=len(suffix))
    assert relative_error(model(images), expected) > 0.1
    load_weights(model, path)
    assert relative_error(model(images), expected) <= 1e-5


@pytest.mark.slow
def test_equal_features_b2_without_top(tmp_path, images):
    reference = applications_network(2, include_top=False)
    config = model_config("efficientnet-b2", **RAW_INPUT)
    model = build_network(config, include_top=False, input_shape=(SIDE, SIDE, 3))
    load_weights(model, save(reference, tmp_path / "b2.weights.h5"))
    expected = np.asarray(reference(images))
    assert np.abs(expected[0] - expected[1]).max() > 0.02 * np.abs(expected).max()
    assert relative_error(model(images), expected) <= 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".weights.h5", ".h5"])
def test_equal_outputs_v2(suffix, reference_v2, tmp_path, images):
    model = build_network(
        model_config("efficientnetv2-b0"), input_shape=(SIDE, SIDE, 3), classifier_activation=None
    )
    load_weights(model, save(reference_v2, tmp_path / f"v2{suffix}"))
    assert relative_error(model(images), np.asarray(reference_v2(images))) <= 1e-5


def test_published_normalisation_is_ours():
    """The ImageNet files: deviations stored as variances, and one more division by their root."""
    mean, stddev = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    file = {"normalization/normalization/mean:0": mean}
    found = normalization({**file, "normalization/normalization/variance:0": stddev})
    pixels = np.array([10.0, 100.0, 250.0])
    published = (pixels / 255 - mean) / np.sqrt(stddev) * (1 / np.sqrt(stddev))
    ours = (pixels - found["mean_rgb"]) / found["stddev_rgb"]
    np.testing.assert_allclose(ours, published, rtol=1e-6)
    config = model_config("efficientnet-b0")
    np.testing.assert_allclose(ours, (pixels - config.mean_rgb) / config.stddev_rgb, rtol=1e-6)
    adapted = normalization({**file, "normalization/normalization/variance:0": stddev**2})
    np.testing.assert_allclose(adapted["stddev_rgb"], stddev * 255)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".weights.h5", ".h5"])
def test_other_normalisation_is_an_error(suffix, reference, tmp_path):
    path = save(reference, tmp_path / f"raw{suffix}")
    model = build_network(model_config("efficientnet-b0", depth_coefficient=0.3))
    with pytest.raises(UserError, match=r"built with mean_rgb=\(0.0, 0.0, 0.0\), stddev_rgb=\(255"):
        load_weights(model, path)


@pytest.mark.slow
def test_other_variant_is_an_error(reference, tmp_path):
    config = model_config("efficientnet-b0", depth_coefficient=0.3, **RAW_INPUT)
    model = build_network(config, input_shape=(SIDE, SIDE, 3))
    with pytest.raises(UserError, match="more layers of kind"):
        load_weights(model, save(reference, tmp_path / "x.weights.h5"))
    with pytest.raises(UserError, match="not in the model: blocks_8"):
        load_weights(model, save(reference, tmp_path / "x.h5"))


def test_damaged_file(model, tmp_path):
    for name in ("x.h5", "x.weights.h5", "x.keras"):
        (tmp_path / name).write_bytes(b"no weights")
        with pytest.raises(UserError, match=f"{name}: not a readable"):
            load_weights(model, tmp_path / name)
    with pytest.raises(UserError, match="no such file"):
        load_weights(model, tmp_path / "absent.keras")
