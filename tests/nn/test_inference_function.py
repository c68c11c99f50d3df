"""A network as a frozen function gives what the model gives."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.toy import toy_config

import efficientnet_tf as en
from efficientnet_tf.exports import batch_parts
from efficientnet_tf.nn.network import build_network

pytestmark = pytest.mark.slow

IMAGES = np.random.default_rng(0).uniform(0, 255, (3, 32, 32, 3)).astype("float32")


@keras.saving.register_keras_serializable("tests")
def less_the_mean(features):
    return features - keras.ops.mean(features, 0)


@keras.saving.register_keras_serializable("tests")
class LessTheMean(keras.layers.Layer):
    def call(self, features):
        return less_the_mean(features)


@keras.saving.register_keras_serializable("tests")
class Subclassed(keras.Model):
    def call(self, features):
        return less_the_mean(features)


def toy(**options):
    keras.utils.set_random_seed(0)
    return build_network(toy_config(dropout_rate=0.5), input_shape=(32, 32, 3), **options)


def test_any_batch_as_array_or_tensor():
    model = toy()
    infer = en.inference_function(model)
    for batch in (IMAGES, IMAGES[:1], keras.ops.convert_to_tensor(IMAGES)):
        np.testing.assert_allclose(infer(batch), model(batch), atol=1e-6)
    np.testing.assert_allclose(infer(IMAGES.astype("uint8")), model(np.floor(IMAGES)), atol=1e-6)


def test_it_keeps_the_weights_of_its_making():
    model = toy()
    infer, before = en.inference_function(model), model(IMAGES)
    for variable in model.trainable_variables:
        variable.assign(variable * 2)
    np.testing.assert_allclose(infer(IMAGES), before, atol=1e-6)


def test_outputs_in_the_structure_of_the_model():
    model = toy(classifier_activation=None)
    features = en.feature_extractor(model, ["logits", "reduction_2"])
    expected, found = features(IMAGES), en.inference_function(features)(IMAGES)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-5, rtol=1e-5)


class TestParts:
    """Larger batches, of which two images make a part here."""

    @pytest.fixture(autouse=True)
    def two_images(self, monkeypatch):
        monkeypatch.setattr(batch_parts, "threads", lambda: 1)
        monkeypatch.setattr(batch_parts, "_PIXELS_OF_A_THREAD", 2 * 32 * 32)

    @pytest.fixture
    def sizes(self, monkeypatch):
        """Of the parts that a network has run on."""
        seen, whole = [], batch_parts.in_parts

        def watched(infer, images, outputs):
            def run(batch):
                with tf.control_dependencies([tf.py_function(note, [tf.shape(batch)[0]], [])]):
                    return infer(tf.identity(batch))

            return whole(run, images, outputs)

        def note(number):
            seen.append(int(number))

        monkeypatch.setattr("efficientnet_tf.exports.frozen.in_parts", watched)
        return seen

    @pytest.mark.parametrize(
        "count, parts", [(1, [1]), (3, [3]), (4, [2, 2]), (7, [2, 2, 3]), (9, [2, 2, 2, 3])]
    )
    def test_of_any_number_of_images(self, count, parts, sizes):
        images = np.random.default_rng(1).uniform(0, 255, (count, 32, 32, 3)).astype("float32")
        model = toy()
        found = en.inference_function(model)(images)
        assert found.shape == (count, 10)
        np.testing.assert_allclose(found, model(images), atol=1e-6)
        assert sorted(sizes) == parts

    def test_every_output(self, sizes):
        images = np.random.default_rng(1).uniform(0, 255, (5, 48, 32, 3)).astype("float32")
        network = build_network(toy_config(), input_shape=(None, None, 3))
        features = en.feature_extractor(network, ["reduction_1", "reduction_2"])
        expected, found = features(images), en.inference_function(features)(images)
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, atol=1e-5, rtol=1e-5)
        assert len(sizes) == 5, "48 x 32 pixels are more than half of what a part may have"

    def test_in_a_dataset(self, sizes):
        images = np.random.default_rng(1).uniform(0, 255, (6, 32, 32, 3)).astype("float32")
        model = toy()
        infer = en.inference_function(model)
        (found,) = tf.data.Dataset.from_tensor_slices(images).batch(6).map(infer)
        np.testing.assert_allclose(found, model(images), atol=1e-6)
        assert len(sizes) == 3

    def test_not_where_images_may_depend_on_each_other(self, sizes):
        network = toy(include_top=False, pooling="avg")
        inputs = keras.Input((32, 32, 3))
        features = network(inputs)
        by_function = keras.Model(inputs, less_the_mean(features))
        by_lambda = keras.Model(inputs, keras.layers.Lambda(less_the_mean)(features))
        by_layer = keras.Model(inputs, LessTheMean()(features))
        by_model = keras.Model(inputs, Subclassed()(features))
        nested = keras.Sequential([keras.Input((32, 32, 3)), by_function])
        images = np.random.default_rng(1).uniform(0, 255, (6, 32, 32, 3)).astype("float32")
        for model in (by_function, by_lambda, by_layer, by_model, nested):
            np.testing.assert_allclose(
                en.inference_function(model)(images), model(images), atol=1e-5, rtol=1e-4
            )
        assert not sizes

    def test_not_of_a_fixed_batch(self, sizes):
        network = toy()
        inputs = keras.Input(batch_shape=(6, 32, 32, 3))
        model = keras.Model(inputs, network(inputs))
        images = np.random.default_rng(1).uniform(0, 255, (6, 32, 32, 3)).astype("float32")
        np.testing.assert_allclose(en.inference_function(model)(images), model(images), atol=1e-6)
        assert not sizes
