"""The input normalisation: equal to Keras' layer, whose files load on, and fit for export."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.toy import toy_config

from efficientnet_tf.arch.variants import model_config
from efficientnet_tf.nn import network
from efficientnet_tf.nn.normalization import Normalization, per_channel
from efficientnet_tf.weights.loading import load_weights

SHAPE = (32, 48, 3)
IMAGES = np.random.default_rng(0).uniform(0, 255, (2, *SHAPE)).astype("float32")


def keras_normalization(config, channels):
    """What networks had before, and old `.keras` files hold: Keras' own layer."""
    mean, stddev = (
        list(per_channel(rgb, channels)) for rgb in (config.mean_rgb, config.stddev_rgb)
    )
    variance = [value * value for value in stddev]
    return keras.layers.Normalization(mean=mean, variance=variance, name="normalization")


@pytest.fixture
def old_network(monkeypatch):
    """A network that normalises with Keras' layer."""
    with monkeypatch.context() as patch:
        patch.setattr(network, "_normalization", keras_normalization)
        return network.build_network(toy_config(), input_shape=SHAPE)


def new_network():
    return network.build_network(toy_config(), input_shape=SHAPE)


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
@pytest.mark.parametrize("name", ["efficientnet-b0", "efficientnet-lite0", "efficientnetv2-s"])
def test_is_keras_normalization(name, channels):
    config = model_config(name)
    images = np.random.default_rng(1).uniform(0, 255, (2, 8, 8, channels)).astype("float32")
    ours, theirs = network._normalization(config, channels), keras_normalization(config, channels)
    np.testing.assert_allclose(ours(images), theirs(images), rtol=2e-7)
    if channels == 3:
        np.testing.assert_array_equal(ours(images), theirs(images))
    np.testing.assert_allclose(np.ravel(theirs.mean), ours.mean, rtol=1e-6)
    np.testing.assert_allclose(np.ravel(theirs.variance), ours.variance, rtol=1e-6)


@pytest.mark.parametrize(
    "policy, digits", [("mixed_bfloat16", 8), ("float16", 11), ("float32", 22), ("float64", 52)]
)
def test_rounds_the_result_only(policy, digits):
    """Half a unit in the last of the binary digits, and no more: the mean is not rounded."""
    layer = Normalization((123.675, 116.28, 103.53), (58.395, 57.12, 57.375), dtype=policy)
    exact = (IMAGES.astype("float64") - layer.mean) / layer.stddev
    result = layer(IMAGES)
    assert result.dtype == keras.dtype_policies.get(policy).compute_dtype
    rtol = 2.0**-digits
    np.testing.assert_allclose(tf.cast(result, "float64"), exact, rtol, min(1e-6, 8 * rtol))


@pytest.mark.slow
def test_old_keras_file(old_network, tmp_path):
    old_network.save(tmp_path / "old.keras")
    loaded = keras.models.load_model(tmp_path / "old.keras")
    np.testing.assert_array_equal(loaded(IMAGES), old_network(IMAGES))
    model = new_network()
    load_weights(model, tmp_path / "old.keras", model_name="efficientnet-b0")
    np.testing.assert_array_equal(model(IMAGES), old_network(IMAGES))


@pytest.mark.slow
def test_old_weights(old_network, tmp_path):
    """The layer has no variables, so weights and run checkpoints keep their names."""
    old_network.save_weights(tmp_path / "old.weights.h5")
    by_keras, by_us = new_network(), new_network()
    by_keras.load_weights(tmp_path / "old.weights.h5")
    load_weights(by_us, tmp_path / "old.weights.h5", model_name="efficientnet-b0")
    for model in (by_keras, by_us):
        np.testing.assert_array_equal(model(IMAGES), old_network(IMAGES))
        assert [v.path for v in model.variables] == [v.path for v in old_network.variables]


@pytest.mark.slow
def test_round_trip(tmp_path):
    model = new_network()
    model.save(tmp_path / "new.keras")
    loaded = keras.models.load_model(tmp_path / "new.keras")
    np.testing.assert_array_equal(loaded(IMAGES), model(IMAGES))
    assert isinstance(loaded.get_layer("normalization"), Normalization)


def graph_inputs(model):
    """What a converter makes inputs of the graph beside the image: captures but for variables."""
    function = tf.function(model).get_concrete_function(tf.TensorSpec((None, *SHAPE)))
    return [t.name for t in function.inputs[1:] if t.dtype != tf.resource]


@pytest.mark.slow
def test_graph_takes_the_image_only():
    """With Keras' layer there were two more: its mean and its variance."""
    assert graph_inputs(new_network()) == []


def test_onnx_export_runs(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    model = new_network()
    expected = np.asarray(model(IMAGES))
    path = str(tmp_path / "model.onnx")
    model.export(path, format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(path)
    assert [value.name for value in session.get_inputs()] == ["image"]
    (result,) = session.run(None, {"image": IMAGES})
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5)
