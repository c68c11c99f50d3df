"""Memory and receptive fields, against the graph and the gradients of real networks."""

import re

import numpy as np
import pytest
import tensorflow as tf
from helpers.toy import toy_config

from efficientnet_tf.arch import block_string
from efficientnet_tf.arch.cost import pieces
from efficientnet_tf.nn.folding import fold_batch_norm
from efficientnet_tf.nn.network import build_network, feature_extractor

pytestmark = pytest.mark.slow

# Blocks of every kind: with and without expansion, shortcut, squeeze-excite, fusion.
BLOCKS = "r2_k3_s11_e1_i32_o32{se} r2_k5_s22_e4_i32_o64{se} r2_k3_s22_e3_i64_o64_f1"
# What may write over its first input.
IN_PLACE = {"BiasAdd", "Relu", "AddV2", "Mul", "Sub", "RealDiv"}


def config_with(se, activation="relu"):
    return toy_config(blocks=block_string.parse_all(BLOCKS.format(se=se)), activation=activation)


def feature_maps(tensors):
    return [t for t in tensors if t.shape.rank == 4 and t.shape[0] == 1 and t.shape[1] > 1]


def peaks(operations):
    """{block: the most numbers of feature maps that are alive at once}, op by op."""
    places, last_use = {}, {}
    for now, operation in enumerate(operations):
        inputs, outputs = feature_maps(operation.inputs), feature_maps(operation.outputs)
        for tensor in outputs:
            in_place = operation.type in IN_PLACE
            places[tensor.name] = places[inputs[0].name] if in_place else tensor.name
        last_use |= {places[tensor.name]: now for tensor in inputs}
    alive, found = {}, {}
    for now, operation in enumerate(operations):
        for tensor in feature_maps(operation.outputs):
            alive[places[tensor.name]] = int(np.prod(tensor.shape))
        if match := re.search(r"/(blocks_\d+)_1/", operation.name):
            found[match[1]] = max(found.get(match[1], 0), sum(alive.values()))
        alive = {place: size for place, size in alive.items() if last_use[place] > now}
    return found


@pytest.mark.parametrize("se", ["", "_se0.25"])
def test_peak_memory_is_that_of_the_graph(se):
    config = config_with(se)
    model = fold_batch_norm(build_network(config, input_shape=(64, 64, 3)))
    function = tf.function(lambda x: model(x, training=False), autograph=False)
    graph = function.get_concrete_function(tf.TensorSpec([1, 64, 64, 3])).graph
    counted = {p.name: p.peak for p in pieces(config, (64, 64, 3)) if p.name.startswith("blocks")}
    assert len(counted) == 6
    assert peaks(graph.get_operations()) == counted


def test_receptive_fields_are_those_of_the_gradient():
    config = config_with("", activation="swish")  # a relu's gradient may be zero by chance
    side = 160
    model = build_network(config, input_shape=(side, side, 3))
    names = ["stem", *(f"block_{index}" for index in range(6))]
    features = feature_extractor(model, names)
    image = tf.Variable(
        np.random.RandomState(0).uniform(0, 255, [1, side, side, 3]), dtype="float32"
    )
    fields = [piece.receptive_field for piece in pieces(config, (side, side, 3))]
    for name, field in zip(names, fields, strict=False):
        with tf.GradientTape() as tape:
            output = features(image)[name]
            middle = tf.reduce_sum(output[0, output.shape[1] // 2, output.shape[2] // 2])
        seen = np.abs(tape.gradient(middle, image)[0]).sum(-1) > 0
        rows, columns = (np.flatnonzero(seen.any(axis)) for axis in (1, 0))
        assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (field, field), name
