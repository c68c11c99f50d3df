"""EfficientNetV2 is the function that `keras.applications` computes, weights copied across."""

import math
from collections import defaultdict

import keras
import numpy as np
import pytest
from helpers.shapes import without_values

from efficientnet_tf.arch import cost
from efficientnet_tf.arch.variants import VARIANTS
from efficientnet_tf.nn.network import build_network

pytestmark = pytest.mark.slow

NAMES = {
    **{f"efficientnetv2-b{i}": f"EfficientNetV2B{i}" for i in range(4)},
    **{f"efficientnetv2-{size}": f"EfficientNetV2{size.upper()}" for size in "sml"},
}


def weights_by_kind(model):
    """Lists of a network's variables; both packages have the same order within a kind."""
    kinds = defaultdict(list)
    for variable in model.weights:
        *_, layer, leaf = variable.path.split("/")
        if layer.startswith("normalization"):
            continue
        kind = "depthwise" if "depthwise" in layer or "dwconv" in layer else leaf
        kinds[kind].append(variable)
    return kinds


def randomize(model):
    """Weights with which no layer is idle and, kernels scaled by fan-in, nothing explodes."""
    random = np.random.default_rng(0)
    for kind, variables in weights_by_kind(model).items():
        for variable in variables:
            if kind in ("kernel", "depthwise"):
                receptive = variable.shape[:-1] if kind == "kernel" else variable.shape[:2]
                value = random.normal(0, (1.5 / math.prod(receptive)) ** 0.5, variable.shape)
            elif kind in ("gamma", "moving_variance"):
                value = random.uniform(0.7, 1.3, variable.shape)
            else:
                value = random.normal(0, 0.1, variable.shape)
            variable.assign(value)


@pytest.mark.parametrize("name", ["efficientnetv2-b3", "efficientnetv2-s"])
def test_same_outputs(name):
    images = np.random.default_rng(1).uniform(0, 255, (4, 64, 64, 3)).astype("float32")
    arguments = {"input_shape": (64, 64, 3), "classifier_activation": None}
    theirs = getattr(keras.applications, NAMES[name])(weights=None, **arguments)
    randomize(theirs)
    ours = build_network(VARIANTS[name], **arguments)
    source, target = weights_by_kind(theirs), weights_by_kind(ours)
    assert set(source) == set(target)
    for kind, variables in target.items():
        for variable, value in zip(variables, source[kind], strict=True):
            variable.assign(value)
    expected = np.asarray(theirs(images))
    scale = abs(expected).max()
    np.testing.assert_allclose(ours(images), expected, rtol=0, atol=1e-5 * scale)
    assert np.ptp(expected, axis=0).max() > 0.1 * scale, "the images matter"


@pytest.mark.parametrize("name", NAMES)
def test_same_parameters(name):
    with without_values():
        model = getattr(keras.applications, NAMES[name])(weights=None)
    kinds = weights_by_kind(model)
    counts = {k: sum(math.prod(v.shape) for v in variables) for k, variables in kinds.items()}
    frozen = counts.pop("moving_mean") + counts.pop("moving_variance")
    total = cost.total(VARIANTS[name])
    assert (total.trainable, total.non_trainable) == (sum(counts.values()), frozen)
