"""A network as a frozen function gives what the model gives."""

import keras
import numpy as np
import pytest
from helpers.toy import toy_config

import efficientnet_tf as en
from efficientnet_tf.nn.network import build_network

pytestmark = pytest.mark.slow

IMAGES = np.random.default_rng(0).uniform(0, 255, (3, 32, 32, 3)).astype("float32")


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
