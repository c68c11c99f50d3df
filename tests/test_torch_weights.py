"""PyTorch's state dictionaries: names and shapes of every variant, logits of every kind."""

import functools
import json

import keras
import numpy as np
import pytest
import torch_networks as networks

from efficientnet_tf.arch.variants import model_config
from efficientnet_tf.nn.network import build_network
from efficientnet_tf.weights.assignment import assign
from efficientnet_tf.weights.naming import checkpoint_variables
from efficientnet_tf.weights.torch_state import from_torch, stages_of_config, to_torch

RECORDED = json.loads(networks.RECORD.read_text())
ALL = [(library, name) for library in networks.OURS for name in RECORDED[library]]
SYMMETRIC = {"padding": "symmetric", "batch_norm_epsilon": 1e-5}
SETTINGS = {
    ("timm", "efficientnet_es"): SYMMETRIC,
    ("torchvision", "efficientnet_b0"): SYMMETRIC,
    ("torchvision", "efficientnet_v2_s"): {"padding": "symmetric"},
}


def our_config(library, name, **overrides):
    return model_config(RECORDED[library][name]["ours"], num_classes=1000, **overrides)


@functools.cache
def our_shapes(config):
    """Names and shapes of a network's variables, without building arrays."""
    with keras.StatelessScope(initialize_variables=False):
        model = build_network(config, include_preprocessing=False)
    return {name: tuple(v.shape) for name, v in checkpoint_variables(model).items()}


def torch_shapes(library, config):
    """Names and shapes that the mapping gives a network in PyTorch."""
    hollow = {name: np.broadcast_to(np.float32(0), s) for name, s in our_shapes(config).items()}
    state = to_torch(hollow, stages_of_config(config), library)
    assert len(state) == len(hollow)
    return {name: value.shape for name, value in state.items()}


@pytest.mark.parametrize(("library", "name"), ALL)
def test_names_and_shapes_are_those_of_the_library(library, name):
    config = our_config(library, name)
    shapes = torch_shapes(library, config)
    recorded = RECORDED[library][name]
    assert (len(shapes), networks.digest(shapes)) == (recorded["tensors"], recorded["sha256"])


def our_network(library, name, **overrides):
    side = networks.SIDE
    return build_network(
        our_config(library, name, **{**SETTINGS.get((library, name), {}), **overrides}),
        input_shape=(side, side, 3),
        include_preprocessing=False,
        classifier_activation=None,
    )


@pytest.mark.parametrize(("library", "name"), networks.COMPUTED)
def test_logits_are_those_recorded(library, name):
    model = our_network(library, name)
    state = networks.weights(torch_shapes(library, our_config(library, name)))
    shapes = our_shapes(our_config(library, name))
    assign(model, from_torch(state, shapes), name)
    logits = np.asarray(model(networks.images()))[:, : networks.LOGITS]
    expected = np.array(RECORDED[library][name]["logits"])
    assert np.abs(logits - expected).max() <= 1e-4 * max(1.0, np.abs(expected).max())
