"""RGB weights in networks with another number of input channels."""

import re

import keras
import numpy as np
import pytest
from helpers.toy import toy_config

from efficientnet_tf.nn.network import build_network
from efficientnet_tf.weights.assignment import assign, collect
from efficientnet_tf.weights.stem import adapt_stem

KERNEL, MEAN = "stem/conv2d/kernel", "stem/tpu_batch_normalization/moving_mean"
RANDOM = np.random.default_rng(0)


def stem_weights(filters=2):
    kernel = RANDOM.normal(size=(3, 3, 3, filters)).astype("float32")
    return {KERNEL: kernel, MEAN: np.arange(filters, dtype="float32"), "other": np.ones(3)}


@pytest.mark.parametrize(
    "channels, expected, words",
    [
        (1, [6.0], "1 channel: its RGB kernels are added up"),
        (2, [3.0, 3.0], "2 channels: the average of its RGB kernels, scaled by 3/2"),
        (4, [0.75, 1.5, 2.25, 1.5], "4 channels: its RGB kernels, and their average .* by 3/4"),
        (6, [0.5, 1.0, 1.5, 1.0, 1.0, 1.0], "6 channels: .* scaled by 3/6"),
    ],
)
def test_numbers(channels, expected, words):
    weights = stem_weights()
    weights[KERNEL][:] = np.array([1.0, 2.0, 3.0])[:, None]
    adapted, said = adapt_stem(weights, channels)
    assert adapted[KERNEL].shape == (3, 3, channels, 2)
    np.testing.assert_allclose(adapted[KERNEL][1, 2, :, 0], expected, rtol=1e-6)
    np.testing.assert_array_equal(adapted[MEAN], weights[MEAN])
    assert adapted[KERNEL].dtype == adapted[MEAN].dtype == np.float32
    assert adapted["other"] is weights["other"]
    assert re.search(words, said)


def test_nothing_to_do():
    weights = stem_weights()
    assert adapt_stem(weights, 3) == (weights, "")
    grey = {**weights, KERNEL: weights[KERNEL][:, :, :1]}
    assert adapt_stem(grey, 1) == (grey, "")


def with_random_statistics(model):
    """Gives every batch norm statistics of its own, as training does."""
    random = np.random.default_rng(1)
    for variable in model.weights:
        if "moving" in variable.path:
            variable.assign(random.uniform(0.5, 1.5, variable.shape))
    return model


@pytest.mark.slow
@pytest.mark.parametrize("preprocessing", [True, False])
@pytest.mark.parametrize("channels", [1, 2, 4, 7])
def test_equal_channels_give_the_response_of_rgb(channels, preprocessing):
    """Inside of the network, away from the padding; the input in grey levels or normalised."""
    config = toy_config()
    options = {"include_preprocessing": preprocessing, "include_top": False}
    keras.utils.set_random_seed(0)
    rgb = with_random_statistics(build_network(config, input_shape=(64, 64, 3), **options))
    other = build_network(config, input_shape=(64, 64, channels), **options)
    inside = {"mean_rgb": config.mean_rgb, "stddev_rgb": config.stddev_rgb}
    weights, _ = adapt_stem(collect(rgb), channels, **(inside if preprocessing else {}))
    assign(other, weights, "adapted weights")
    grey = RANDOM.uniform(0, 255 if preprocessing else 1, (2, 64, 64, 1)).astype("float32")
    expected, result = (
        keras.Model(model.input, model.get_layer("stem").output)(np.repeat(grey, count, -1))
        for model, count in ((rgb, 3), (other, channels))
    )
    interior = (slice(None), slice(0, -1), slice(0, -1))  # 'same' pads to the right and below
    np.testing.assert_allclose(result[interior], expected[interior], rtol=1e-4, atol=1e-5)
    assert np.ptp(expected) > 0.5


@pytest.mark.slow
def test_lite_is_equal_at_the_border_too():
    """With one mean for all three channels no constant is left over."""
    config = toy_config(mean_rgb=(127.0,) * 3, stddev_rgb=(128.0,) * 3)
    rgb = with_random_statistics(build_network(config, input_shape=(32, 32, 3)))
    grey = build_network(config, input_shape=(32, 32, 1))
    held = collect(rgb)
    weights, _ = adapt_stem(held, 1, config.mean_rgb, config.stddev_rgb)
    np.testing.assert_allclose(weights[MEAN], held[MEAN], atol=1e-5)
    assign(grey, weights, "adapted weights")
    images = RANDOM.uniform(0, 255, (2, 32, 32, 1)).astype("float32")
    expected = rgb(np.repeat(images, 3, axis=-1))
    np.testing.assert_allclose(grey(images), expected, rtol=1e-4, atol=1e-6)
