"""Every family through `.keras` files and configurations, without custom objects."""

import keras
import numpy as np
import pytest
from helpers.families import FAMILIES, IMAGES, small

from efficientnet_tf.nn.network import feature_extractor

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", FAMILIES)
def test_save_and_load(name, tmp_path):
    keras.utils.set_random_seed(1)
    model = small(name)
    expansion = "block_1/expansion_output"
    model = feature_extractor(model, ["reduction_2", expansion, "logits"])
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.models.load_model(path)
    for key, value in model(IMAGES).items():
        np.testing.assert_array_equal(loaded(IMAGES)[key], value)


@pytest.mark.parametrize("name", FAMILIES)
def test_configuration_round_trip(name):
    model = small(name)
    copy = keras.Model.from_config(model.get_config())
    assert [v.path for v in copy.weights] == [v.path for v in model.weights]
    copy.set_weights(model.get_weights())
    np.testing.assert_array_equal(copy(IMAGES), model(IMAGES))


@pytest.mark.parametrize("padding", ["same", "symmetric"])
@pytest.mark.parametrize("name", ["efficientnetv2-b0", "efficientnet-condconv-b0-4e"])
def test_loads_where_keras_is_set_to_channels_first(name, padding, tmp_path):
    model = small(name, overrides={"padding": padding})
    model.save(tmp_path / "model.keras")
    expected = np.asarray(model(IMAGES))
    keras.config.set_image_data_format("channels_first")
    try:
        loaded = keras.models.load_model(tmp_path / "model.keras")
        np.testing.assert_array_equal(loaded(IMAGES), expected)
    finally:
        keras.config.set_image_data_format("channels_last")
