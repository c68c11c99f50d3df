"""Networks as Keras models: initial weights, shapes they take, layers against Keras' own."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.toy import toy_config

from efficientnet_tf.arch.variants import model_config
from efficientnet_tf.config import UserError
from efficientnet_tf.nn.layers import BatchNormalization
from efficientnet_tf.nn.network import build_network, feature_extractor


def build(**options):
    return build_network(toy_config(), **options)


# Initial weights.


@pytest.mark.slow
def test_initial_weights_are_the_originals():
    """Normal with variance 2 / (k k out), depthwise 2 / (k k); dense +-1 / sqrt(classes)."""
    keras.utils.set_random_seed(0)
    model = build_network(model_config("efficientnet-b0", num_classes=100), include_top=True)
    weights = {v.path: v.numpy() for v in model.weights}
    for path, kernel in weights.items():
        if not path.endswith("kernel"):
            continue
        if path.startswith("predictions"):
            assert abs(kernel).max() <= 0.1
            assert kernel.std() == pytest.approx(0.1 / np.sqrt(3), rel=0.02)
            continue
        height, width, _, filters = kernel.shape
        expected = np.sqrt(2 / (height * width * filters))
        assert kernel.std() == pytest.approx(expected, rel=5 / np.sqrt(kernel.size)), path
    assert all(not value.any() for path, value in weights.items() if path.endswith("bias"))


@pytest.mark.slow
def test_every_kernel_is_drawn_anew_and_the_seed_decides():
    def kernels(seed):
        keras.utils.set_random_seed(seed)
        return [v.numpy() for v in build().weights if v.path.endswith("kernel")]

    first, again, other = kernels(0), kernels(0), kernels(1)
    for i, kernel in enumerate(first):
        np.testing.assert_array_equal(kernel, again[i])
        assert not np.array_equal(kernel, other[i])
        twins = [k for k in first[:i] if k.shape == kernel.shape]
        assert not any(np.array_equal(kernel, twin) for twin in twins)


# Inputs and outputs.


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(32, 32, 3), (33, 70, 3), (64, 32, 1), (40, 40, 4)])
def test_any_size_and_channels(shape):
    for preprocessing in (True, False):
        model = build(input_shape=shape, include_preprocessing=preprocessing)
        probabilities = model(np.full((2, *shape), 100.0, "float32")).numpy()
        assert probabilities.shape == (2, 10)
        np.testing.assert_allclose(probabilities.sum(-1), 1.0, rtol=1e-5)


@pytest.mark.parametrize("shape", [(31, 32, 3), (32, 8, 3), (32, 32)])
def test_too_small_or_malformed_shapes_are_refused(shape):
    with pytest.raises(UserError, match="input_shape"):
        build(input_shape=shape)


@pytest.fixture
def channels_first():
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format("channels_last")


@pytest.mark.parametrize("shape", [None, (3, 64, 64)])
def test_channels_first_is_refused(shape, channels_first):
    with pytest.raises(UserError, match=r"\[N, H, W, C\] only: .*'channels_last'"):
        build(input_shape=shape)


@pytest.mark.slow
def test_preprocessing_inside_is_preprocessing_outside():
    config, rgb = toy_config(), np.random.RandomState(0).uniform(0, 255, (2, 32, 32, 3))
    inside = build(input_shape=(32, 32, 3))
    outside = build(input_shape=(32, 32, 3), include_preprocessing=False)
    outside.set_weights(inside.get_weights())
    normalised = (rgb - config.mean_rgb) / config.stddev_rgb
    np.testing.assert_allclose(inside(rgb), outside(normalised.astype("float32")), atol=1e-6)


@pytest.mark.slow
def test_without_top():
    image = np.zeros((2, 64, 96, 3), "float32")
    assert build(include_top=False)(image).shape == (2, 16, 24, 320)
    for pooling, reduce in (("avg", np.mean), ("max", np.max)):
        model = build(include_top=False, pooling=pooling)
        plain = keras.Model(model.input, model.get_layer("head").output)
        np.testing.assert_allclose(
            model(image), reduce(plain(image), axis=(1, 2)), rtol=1e-5, atol=1e-5
        )
    with pytest.raises(UserError, match="avg"):
        build(include_top=False, pooling="average")


@pytest.mark.slow
def test_input_tensor():
    image = keras.Input((48, 48, 3))
    model = build(input_tensor=keras.ops.flip(image, axis=2))
    plain = build(input_shape=(48, 48, 3))
    plain.set_weights(model.get_weights())
    x = np.random.RandomState(0).uniform(0, 255, (1, 48, 48, 3)).astype("float32")
    np.testing.assert_allclose(model(x), plain(x[:, :, ::-1]), atol=1e-6)


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(UserError, match="efficientnet-b0"):
        model_config("efficientnet_b0")
    with pytest.raises(UserError, match="width_coefficient"):
        model_config("efficientnet-b0", width_coeficient=2.0)
    with pytest.raises(UserError, match="reduction_"):
        feature_extractor(build(), ["reduction_9"])


# Batch norm against Keras' own.


@pytest.mark.parametrize("shape", [(8, 5, 7, 3), (1, 1, 1, 3), (2, 1, 1, 4)])
def test_batch_norm_is_keras_batch_norm(shape):
    """Outputs, gradients and moving statistics; the population variance among them."""
    x = np.random.RandomState(0).normal(2.0, 3.0, shape).astype("float32")
    results = []
    for layer_class in (BatchNormalization, keras.layers.BatchNormalization):
        layer = layer_class(momentum=0.9, epsilon=1e-3)
        variable = tf.Variable(x)
        with tf.GradientTape() as tape:
            y = layer(variable, training=True)
            loss = tf.reduce_sum(y * y * tf.range(shape[-1], dtype=tf.float32))
        gradients = tape.gradient(loss, [variable, layer.gamma.value])
        inference = layer(x, training=False)
        results.append(
            [y, *gradients, layer.moving_mean.numpy(), layer.moving_variance.numpy(), inference]
        )
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_frozen_batch_norm_is_inference():
    layer = BatchNormalization()
    layer.build([None, 4, 4, 3])
    layer.trainable = False
    x = np.random.RandomState(0).normal(2.0, 3.0, (4, 4, 4, 3)).astype("float32")
    np.testing.assert_allclose(layer(x, training=True), layer(x, training=False))
    np.testing.assert_array_equal(layer.moving_mean.numpy(), np.zeros(3))
