"""Networks under every dtype policy that Keras has: outputs, one training step, file formats."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.builds import JIT_COMPILE
from helpers.toy import NO_DROPOUT, one_device, toy_config, two_cpus

from efficientnet_tf.arch.variants import model_config
from efficientnet_tf.nn.layers import BatchNormalization
from efficientnet_tf.nn.network import build_network
from efficientnet_tf.nn.step_context import StepContext, step_context

IMAGES = np.random.default_rng(0).uniform(0, 255, (8, 32, 32, 3)).astype("float32")
LABELS = np.arange(8)
# Policy: (dtype of the variables, of the output, error of a tensor of size 1 after some layers).
POLICIES = {
    "float32": ("float32", "float32", 1e-6),
    "float64": ("float64", "float64", 1e-5),
    "bfloat16": ("bfloat16", "float32", 0.1),
    "float16": ("float16", "float32", 0.02),
    "mixed_bfloat16": ("float32", "float32", 0.1),
    "mixed_float16": ("float32", "float32", 0.02),
}


@pytest.fixture
def policy(request):
    """Makes a policy Keras' own for one test."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy(before)


def build():
    """A network whose logits depend on the image, also before it is trained."""
    model = build_network(
        toy_config(**NO_DROPOUT), input_shape=(32, 32, 3), classifier_activation=None
    )
    random = np.random.default_rng(0)
    for variable in model.weights:
        if variable.path.endswith("kernel"):
            fan_in = np.prod(variable.shape[:-1]) if len(variable.shape) == 2 else 9.0
            variable.assign(random.normal(0, fan_in**-0.5, variable.shape))
    return model


def measure(model):
    """Logits and, after one step of SGD, the loss and the batch norm of the stem."""
    logits = model(IMAGES)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.01), loss, jit_compile=JIT_COMPILE)
    history = model.fit(IMAGES, LABELS, batch_size=8, verbose=0)
    norm = model.get_layer("stem").batch_norm
    variables = (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)
    after = [np.asarray(tf.cast(v.value, "float64")) for v in variables]
    return logits, history.history["loss"][0], after


@pytest.fixture(scope="module")
def in_float32():
    return measure(build())


@pytest.mark.slow
@pytest.mark.parametrize("policy", POLICIES, indirect=True)
def test_network(policy, in_float32):
    variables, output, tolerance = POLICIES[policy]
    model = build()
    assert {v.dtype for v in model.weights} == {variables}
    logits, loss, after = measure(model)
    assert logits.dtype == output
    expected_logits, expected_loss, expected_after = in_float32
    scale = np.abs(expected_logits).max()
    assert np.ptp(expected_logits, axis=0).max() > 0.1 * scale, "the images matter"
    np.testing.assert_allclose(logits, expected_logits, rtol=0, atol=tolerance * scale)
    assert loss == pytest.approx(expected_loss, rel=tolerance)
    for value, expected in zip(after, expected_after, strict=True):
        np.testing.assert_allclose(value, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["efficientnet-condconv-b0-4e", "efficientnet-x-b0"])
@pytest.mark.parametrize("policy", ["float64", "bfloat16", "float16"], indirect=True)
def test_every_kind_of_block(name, policy, tmp_path):
    config = model_config(name, width_coefficient=0.25, depth_coefficient=0.3, num_classes=3)
    model = build_network(config, input_shape=(32, 32, 3))
    model.save(tmp_path / "model.keras")
    probabilities = model(IMAGES)
    np.testing.assert_allclose(np.sum(probabilities, axis=-1), 1.0, rtol=1e-5)
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.dtype_policy == model.dtype_policy
    np.testing.assert_array_equal(loaded(IMAGES), probabilities)


@pytest.mark.parametrize("policy", POLICIES)
def test_batch_norm_is_keras_batch_norm(policy):
    x = np.random.RandomState(0).normal(2.0, 3.0, (8, 5, 7, 3))
    results = []
    for layer_class in (BatchNormalization, keras.layers.BatchNormalization):
        layer = layer_class(momentum=0.9, epsilon=1e-3, dtype=policy)
        y = layer(x, training=True)
        inference = layer(x, training=False)
        assert y.dtype == inference.dtype == layer.compute_dtype
        assert layer.moving_mean.dtype == layer.variable_dtype
        values = (y, inference, layer.moving_mean.value, layer.moving_variance.value)
        results.append([np.asarray(tf.cast(value, "float64")) for value in values])
    rounding = {"float64": 1e-12, "float32": 1e-5, "mixed_float16": 2e-3, "float16": 2e-3}
    tolerance = rounding.get(policy, 1.6e-2)
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("policy", ["float64", "float16"])
def test_batch_norm_over_replicas(policy):
    """Two replicas that normalise together are one that sees both halves."""
    x = np.random.RandomState(0).normal(2.0, 3.0, (8, 5, 7, 3))

    def run(strategy, replicas):
        with strategy.scope():
            layer = BatchNormalization(momentum=0.9, epsilon=1e-3, dtype=policy)
            layer.build((None, 5, 7, 3))

        def step(part):
            with step_context(StepContext(0, 0, batch_norm_replicas=replicas)):
                return layer(part, training=True)

        def part(context):
            share = len(x) // context.num_replicas_in_sync
            return tf.constant(x[context.replica_id_in_sync_group * share :][:share])

        parts = strategy.experimental_distribute_values_from_function(part)
        y = strategy.experimental_local_results(tf.function(strategy.run)(step, (parts,)))
        assert y[0].dtype == layer.compute_dtype
        moving = (layer.moving_mean.numpy(), layer.moving_variance.numpy())
        return tf.cast(tf.concat(y, 0), "float64"), *map(np.float64, moving)

    tolerance = 1e-12 if policy == "float64" else 5e-3
    for split, whole in zip(run(two_cpus(), 2), run(one_device(), 1), strict=True):
        np.testing.assert_allclose(split, whole, rtol=tolerance, atol=tolerance)
