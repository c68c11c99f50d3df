"""Frozen parts: what training changes, and what it must not."""

import keras
import numpy as np
import pytest
from helpers.builds import JIT_COMPILE

from efficientnet_tf.build import build_model
from efficientnet_tf.config import UserError
from efficientnet_tf.nn.freezing import freeze

SMALL = {
    "num_classes": 3,
    "width_coefficient": 0.25,
    "depth_coefficient": 0.3,
    "input_shape": (32, 32, 3),
}
IMAGES = np.random.default_rng(0).uniform(0, 255, (4, 32, 32, 3)).astype("float32")


def changed_by_training(model):
    """The layers whose variables one step of `fit` changes."""
    before = {v.path: np.array(v) for v in model.weights}
    model.compile(
        keras.optimizers.SGD(1.0), "sparse_categorical_crossentropy", jit_compile=JIT_COMPILE
    )
    model.fit(IMAGES, np.array([0, 1, 2, 1]), verbose=0)
    return {v.path for v in model.weights if not np.array_equal(before[v.path], np.array(v))}


@pytest.mark.slow
@pytest.mark.parametrize(
    "what, trained, left_alone",
    [
        ("stem", "blocks_0/", ("stem/",)),
        ("blocks<=2", "blocks_3/", ("stem/", "blocks_0/", "blocks_1/", "blocks_2/")),
        ("all", "predictions/", ("stem/", "blocks_", "head/")),
    ],
)
def test_freeze(what, trained, left_alone, tmp_path):
    model = build_model("efficientnet-x-b0", freeze=what, **SMALL)
    model.save(tmp_path / "model.keras")
    model = keras.models.load_model(tmp_path / "model.keras")
    changed = changed_by_training(model)
    assert any(path.startswith(trained) for path in changed)
    assert not [path for path in changed if path.startswith(left_alone)]
    assert not [v.path for v in model.trainable_weights if v.path.startswith(left_alone)]


@pytest.mark.slow
def test_freeze_batch_norm(tmp_path):
    model = build_model("efficientnet-x-b0", freeze_bn=True, **SMALL)
    model.save(tmp_path / "model.keras")
    for network in (model, keras.models.load_model(tmp_path / "model.keras")):
        assert not [v.path for v in network.trainable_weights if "batch_norm" in v.path]
        changed = changed_by_training(network)
        assert "stem/conv2d/kernel" in changed
        assert not [path for path in changed if "batch_norm" in path]


@pytest.mark.parametrize("what", ["everything", "blocks<=99", "blocks<2"])
def test_unknown_part(what):
    with pytest.raises(UserError, match="all, stem or blocks<=N"):
        build_model("efficientnet-b0", freeze=what, **SMALL)


@pytest.mark.slow
@pytest.mark.parametrize("nothing", ["none", None])
def test_undo(nothing, tmp_path):
    """Trains what a new network trains: also after a file, and the frozen batch norm."""
    fresh = build_model("efficientnet-x-b0", freeze=nothing, **SMALL)
    model = build_model("efficientnet-x-b0", freeze="all", freeze_bn=True, **SMALL)
    model.save(tmp_path / "frozen.keras")
    for network in (model, keras.models.load_model(tmp_path / "frozen.keras")):
        assert len(network.trainable_weights) == 2  # the classifier's
        freeze(network, nothing)
        network.save(tmp_path / "thawed.keras")
        for thawed in (network, keras.models.load_model(tmp_path / "thawed.keras")):
            paths = [v.path for v in thawed.trainable_weights]
            assert paths == [v.path for v in fresh.trainable_weights]
            assert "blocks_1/tpu_batch_normalization/moving_mean" in changed_by_training(thawed)
