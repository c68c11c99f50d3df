"""Fake quantisation against NumPy, and against the int8 ops that LiteRT's converter makes of it."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from efficientnet_tf.arch.variants import VARIANTS, model_config
from efficientnet_tf.config import UserError
from efficientnet_tf.exports.litert import write_int8
from efficientnet_tf.exports.network import exported_network
from efficientnet_tf.nn import fake_quant
from efficientnet_tf.nn.folding import fold_batch_norm
from efficientnet_tf.nn.network import build_network
from efficientnet_tf.nn.quantization import quantize_aware, without_rounding

IMAGES = np.random.default_rng(0).uniform(0, 255, (16, 32, 32, 3)).astype("float32")

WITHOUT_SIGMOID = ("efficientnet-lite0", "efficientnet-edgetpu-S")


def build(name="efficientnet-b0", stages=slice(0, 2), **options):
    """A network whose batch norm does something."""
    keras.utils.set_random_seed(0)
    blocks = VARIANTS[name].blocks[stages]
    config = model_config(
        name, blocks=blocks, width_coefficient=0.25, head_filters=256, num_classes=10
    )
    model = build_network(config, input_shape=(32, 32, 3), classifier_activation=None, **options)
    random = np.random.default_rng(1)
    for variable in model.weights:
        if variable.path.endswith(("gamma", "moving_variance")):
            variable.assign(random.uniform(0.5, 1.5, variable.shape))
        elif variable.path.endswith(("beta", "moving_mean", "bias")):
            variable.assign(random.normal(0, 0.1, variable.shape))
    return model


def relative_error(outputs, expected):
    return np.abs(np.asarray(outputs) - expected).max() / np.abs(expected).max()


def rounded(kernel, axes):
    """LiteRT's int8 weights: symmetric, 127 steps to the largest one of each channel."""
    step = np.abs(kernel).max(axis=axes, keepdims=True) / 127
    return np.round(kernel / step) * step


@pytest.mark.parametrize(
    ("quantized", "plain", "channel_axis"),
    [
        (fake_quant.QuantizedConv2D, keras.layers.Conv2D, 3),
        (fake_quant.QuantizedDepthwiseConv2D, keras.layers.DepthwiseConv2D, 2),
    ],
)
def test_kernels_are_rounded_for_each_channel(quantized, plain, channel_axis):
    arguments = (8, 3) if plain is keras.layers.Conv2D else (3,)
    layer, other = quantized(*arguments), plain(*arguments)
    x = np.random.default_rng(2).normal(size=(2, 9, 9, 4)).astype("float32")
    layer(x), other(x)
    shape = [1, 1, 1, 1]
    shape[channel_axis] = -1
    widths = np.logspace(-2, 1, layer.kernel.shape[channel_axis]).reshape(shape)
    kernel = (np.asarray(layer.kernel) * widths).astype("float32")
    layer.kernel.assign(kernel)
    other.kernel.assign(rounded(kernel, tuple({0, 1, 2, 3} - {channel_axis})))
    assert relative_error(layer(x), np.asarray(other(x))) < 1e-5
    other.kernel.assign(kernel)
    assert relative_error(layer(x), np.asarray(other(x))) > 1e-4
    np.testing.assert_array_equal(layer.kernel, kernel)


def test_ranges_are_learned():
    layer = fake_quant.FakeQuant()
    x = np.stack([np.linspace(1.0, high, 1000, dtype="float32") for high in (2.0, 4.0)])
    vectors = fake_quant.FakeQuant()
    vectors(x, training=True)
    assert (vectors.low[0], vectors.high[0]) == (0.0, 4.0)
    x = x.reshape(2, 20, 10, 5)  # feature maps: the mean of each one's
    np.testing.assert_array_equal(layer(x, training=False), x)  # as there is no range yet
    layer(x, training=True)
    assert (layer.low[0], layer.high[0]) == (0, 3)  # zero has a value of its own
    layer(-x, training=True)
    np.testing.assert_allclose((layer.low[0], layer.high[0]), (-0.03, 2.97), rtol=1e-5)
    zeros = fake_quant.FakeQuant()
    zeros(np.zeros((2, 3), "float32"), training=True)
    assert zeros.high[0] > zeros.low[0] == 0
    y = np.asarray(layer(np.linspace(-9, 9, 5000, dtype="float32")[None], training=False))
    np.testing.assert_allclose((layer.low[0], layer.high[0]), (-0.03, 2.97), rtol=1e-5)
    values = np.unique(y)
    assert len(values) == 256 and 0.0 in values
    np.testing.assert_allclose(np.diff(values), 3.0 / 255, rtol=1e-3)


def test_a_network_that_is_not_trained_yet_computes_almost_the_same(tmp_path):
    model = build()
    aware = quantize_aware(model)
    folded = {v.path: v for v in fold_batch_norm(model).weights}
    for variable in aware.weights:
        if variable.path in folded:
            np.testing.assert_array_equal(variable, folded[variable.path])
    aware(IMAGES, training=True)
    expected = np.asarray(model(IMAGES))
    outputs = np.asarray(aware(IMAGES))
    assert 1e-4 < relative_error(outputs, expected) < 0.1
    aware.save(tmp_path / "aware.keras")
    loaded = keras.models.load_model(tmp_path / "aware.keras")
    np.testing.assert_array_equal(loaded(IMAGES), outputs)
    np.testing.assert_array_equal(fold_batch_norm(loaded)(IMAGES), outputs)
    assert relative_error(without_rounding(loaded)(IMAGES), expected) < 1e-5


def test_gradients_reach_every_weight():
    aware = quantize_aware(build())
    aware(IMAGES, training=True)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(aware(IMAGES, training=True) ** 2)
    for variable, gradient in zip(
        aware.trainable_variables,
        tape.gradient(loss, [v.value for v in aware.trainable_variables]),
        strict=True,
    ):
        assert np.abs(gradient).max() > 0, variable.path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("efficientnet-b0", slice(2)),
        ("efficientnet-lite0", slice(2)),
        ("efficientnet-edgetpu-S", slice(2)),
        ("efficientnet-x-b0", slice(2)),
    ],
)
def test_the_converter_folds_everything_into_int8(name, stages, tmp_path):
    model = build(name, stages)
    for variable in model.weights:  # a squeeze-excite that gives the bias of its last step alone
        if variable.path.endswith("blocks_1/se/conv2d/bias"):
            variable.assign(variable * 0 - 30)
        elif variable.path.endswith("blocks_1/se/conv2d_1/bias"):
            variable.assign(variable + 3)
    aware = quantize_aware(model)
    for _ in range(3):
        aware(IMAGES, training=True)
    write_int8(exported_network(aware), str(tmp_path / "int8.tflite"))
    interpreter = Interpreter(
        str(tmp_path / "int8.tflite"),
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=True,
    )
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert taken["dtype"] is given["dtype"] is np.uint8
    assert (taken["quantization"], given["quantization"]) == ((1.0, 0), (1 / 256, 0))
    interpreter.resize_tensor_input(taken["index"], IMAGES.shape)
    interpreter.allocate_tensors()
    tensors = {t["index"]: t for t in interpreter.get_tensor_details()}
    first, *ops, last = interpreter._get_ops_details()
    assert first["op_name"] == last["op_name"] == "QUANTIZE"  # between uint8 and int8
    for op in ops:
        assert all(tensors[i]["dtype"] is np.int8 for i in op["outputs"]), op["op_name"]
    # No op for a transposed kernel is left, and each channel has its scale.
    names = [op["op_name"] for op in ops]
    assert not {"TRANSPOSE", "QUANTIZE", "DEQUANTIZE", "FAKE_QUANT"} & set(names)
    assert not {"RELU", "RELU6"} & set(names)
    assert ("LOGISTIC" in names) == (name not in WITHOUT_SIGMOID)
    for op in ops:
        if "CONV_2D" in op["op_name"]:
            kernel = tensors[op["inputs"][1]]
            axis = -1 if op["op_name"] == "DEPTHWISE_CONV_2D" else 0
            assert len(kernel["quantization_parameters"]["scales"]) == kernel["shape"][axis]
    pixels = np.round(IMAGES)
    interpreter.set_tensor(taken["index"], pixels.astype(np.uint8))
    interpreter.invoke()
    # The normalised pixels are equal but where rounding is a tie in float32.
    assert [op["op_name"] for op in ops[:2]] == ["SUB", "MUL"]
    (index,) = ops[1]["outputs"]
    scale, zero = tensors[index]["quantization"]
    normalised = (interpreter.get_tensor(index).astype(np.float32) - zero) * scale
    differs = np.abs(normalised - aware.get_layer("normalization")(pixels)) > scale / 2
    assert differs.mean() < 5e-3
    probabilities = interpreter.get_tensor(given["index"]) / 256.0
    expected = tf.nn.softmax(aware(pixels)).numpy()
    assert np.abs(probabilities - expected).mean() < 1 / 256


def test_networks_without_an_int8_form():
    with pytest.raises(UserError, match="conditional convolutions have no int8 form"):
        quantize_aware(build("efficientnet-condconv-b0-4e", slice(-1, None)))
    with pytest.raises(UserError, match="quantisation begins at pixels"):
        quantize_aware(build(include_preprocessing=False))
    with pytest.raises(UserError, match="has not learned its ranges of int8 yet"):
        exported_network(quantize_aware(build()))
