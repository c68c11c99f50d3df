"""A network without batch norm gives what it gave with it."""

import keras
import numpy as np
import pytest
from helpers.families import FAMILIES, IMAGES, small

from efficientnet_tf.config import UserError
from efficientnet_tf.nn.folding import fold_batch_norm, transfer_folded
from efficientnet_tf.nn.freezing import freeze_batch_norm
from efficientnet_tf.nn.network import feature_extractor

pytestmark = pytest.mark.slow


def with_statistics(name="efficientnet-b0", **options):
    """A small network whose batch norm does something."""
    model = small(name, classifier_activation=None, **options)
    draw = np.random.default_rng(1)
    for variable in model.weights:
        role = variable.path.rpartition("/")[2]
        if role in ("gamma", "moving_variance"):
            variable.assign(draw.uniform(0.5, 1.5, variable.shape))
        elif role in ("beta", "moving_mean"):
            variable.assign(draw.normal(0, 0.3, variable.shape))
    return model


def assert_equal_outputs(model, folded):
    for expected, output in zip(
        keras.tree.flatten(model(IMAGES)), keras.tree.flatten(folded(IMAGES)), strict=True
    ):
        scale = np.abs(expected).max()
        np.testing.assert_allclose(output, expected, atol=2e-5 * scale, rtol=0)


def statistics(model):
    return [v.path for v in model.weights if "moving_" in v.path]


@pytest.mark.parametrize("padding", ["same", "symmetric"])
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family(name, padding, tmp_path):
    model = with_statistics(name, overrides={"padding": padding})
    folded = fold_batch_norm(model)
    assert_equal_outputs(model, folded)
    assert statistics(model) and not statistics(folded)
    assert (folded.name, folded.input_shape) == (model.name, model.input_shape)
    folded.save(tmp_path / "folded.keras")
    np.testing.assert_array_equal(
        keras.models.load_model(tmp_path / "folded.keras")(IMAGES), folded(IMAGES)
    )


def test_a_copy_follows_when_it_is_told_of_other_weights():
    model = with_statistics()
    folded = fold_batch_norm(model)
    for variable in model.weights:
        variable.assign(variable * 1.25)
    transfer_folded(model, folded)
    assert_equal_outputs(model, folded)


def test_the_model_stays_as_it_is():
    model = with_statistics()
    before = model.get_weights()
    folded = fold_batch_norm(model)
    for variable in folded.weights:
        variable.assign(variable + 1)
    for value, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(value, now)


def test_a_head_of_the_users_own_and_networks_within_networks():
    backbone = with_statistics("efficientnet-lite0", include_top=False)
    inputs = keras.Input((None, None, 3))
    x = keras.layers.GlobalAveragePooling2D()(backbone(inputs))
    x = keras.layers.BatchNormalization(name="own")(keras.layers.Dense(5, "relu")(x))
    model = keras.Model(inputs, keras.layers.Dense(3)(x))
    folded = fold_batch_norm(model)
    assert_equal_outputs(model, folded)
    assert len(statistics(folded)) == 2, "batch norm that is no layer of ours stays"
    sequential = keras.Sequential([backbone, keras.layers.GlobalMaxPooling2D()])
    assert_equal_outputs(sequential, fold_batch_norm(sequential))


def test_endpoints_frozen_and_folded_twice():
    model = with_statistics()
    freeze_batch_norm(model)
    features = feature_extractor(model, ["reduction_2", "block_1/expansion_output", "logits"])
    assert_equal_outputs(features, fold_batch_norm(features))
    folded = fold_batch_norm(model)
    assert_equal_outputs(model, fold_batch_norm(folded))
    assert_equal_outputs(features, feature_extractor(folded, list(features.output)))


def test_a_model_that_cannot_be_copied():
    class Own(keras.Model):
        def call(self, inputs):
            return inputs

    own = Own()
    own(IMAGES)
    with pytest.raises(UserError, match="cannot be folded"):
        fold_batch_norm(own)
    with pytest.raises(UserError, match="no input shape yet"):
        fold_batch_norm(keras.Sequential([keras.layers.Dense(3)]))
