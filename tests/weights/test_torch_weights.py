"""PyTorch's state dictionaries: names and shapes of every variant, logits of every kind."""

import functools
import json
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from helpers import torch_networks as networks
from helpers.shapes import without_values

from efficientnet_tf.arch.variants import model_config
from efficientnet_tf.config import UserError
from efficientnet_tf.nn.network import build_network
from efficientnet_tf.weights.assignment import assign, collect
from efficientnet_tf.weights.formats.torch_files import write_safetensors
from efficientnet_tf.weights.formats.torch_state import from_torch, stages_of_config, to_torch
from efficientnet_tf.weights.loading import load_weights
from efficientnet_tf.weights.naming import checkpoint_variables

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
    with without_values():
        model = build_network(config, include_preprocessing=False)
    return {name: tuple(v.shape) for name, v in checkpoint_variables(model).items()}


def torch_shapes(library, config):
    """Names and shapes that the mapping gives a network in PyTorch."""
    hollow = {name: np.broadcast_to(np.float32(0), s) for name, s in our_shapes(config).items()}
    state = to_torch(hollow, stages_of_config(config), library)
    assert len(state) == len(hollow)
    return {name: value.shape for name, value in state.items()}


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize(("library", "name"), networks.COMPUTED)
def test_logits_are_those_recorded(library, name):
    model = our_network(library, name)
    state = networks.weights(
        torch_shapes(library, our_config(library, name)), networks.COMPUTED[library, name]
    )
    shapes = our_shapes(our_config(library, name))
    assign(model, from_torch(state, shapes), name)
    logits = np.asarray(model(networks.images()))[:, : networks.LOGITS]
    expected = np.array(RECORDED[library][name]["logits"])
    assert np.abs(logits - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize(("library", "name"), networks.COMPUTED)
def test_logits_are_those_of_the_library(library, name):
    """All of the same logits against the library itself."""
    pytest.importorskip("torch")
    pytest.importorskip(library, exc_type=Exception)  # torchvision's fits one torch each
    theirs = networks.torch_model(library, name)
    state = networks.weights(networks.state_shapes(theirs), networks.COMPUTED[library, name])
    model = our_network(library, name)
    assign(model, from_torch(state, our_shapes(our_config(library, name))), name)
    expected = networks.torch_logits(theirs, state)
    error = np.abs(np.asarray(model(networks.images())) - expected).max()
    assert error <= 1e-4 * np.abs(expected).max()


TINY = {"width_coefficient": 0.25, "depth_coefficient": 0.3, "num_classes": 5}


def tiny_network(seed=0, **overrides):
    keras.utils.set_random_seed(seed)
    return build_network(model_config("efficientnet-b0", **{**TINY, **overrides}))


def tiny_state(model, library):
    return to_torch(
        collect(model), stages_of_config(model_config("efficientnet-b0", **TINY)), library
    )


def assert_equal_weights(one, two):
    for (name, value), other in zip(collect(one).items(), collect(two).values(), strict=True):
        np.testing.assert_array_equal(value, other, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("wrapper", ["", "module."])
def test_safetensors(wrapper, tmp_path):
    pytest.importorskip("safetensors")
    source, path = tiny_network(seed=1), tmp_path / "tf_efficientnet_b0.safetensors"
    state = tiny_state(source, "timm").items()
    write_safetensors({f"{wrapper}{name}": value for name, value in state}, path)
    model = tiny_network(seed=2)
    load_weights(model, path)
    assert_equal_weights(model, source)


@pytest.mark.slow
def test_padding_is_told_by_name_or_description(tmp_path):
    pytest.importorskip("safetensors")
    state, model = tiny_state(tiny_network(), "timm"), tiny_network()
    write_safetensors(state, tmp_path / "efficientnet_b0.safetensors")
    with pytest.raises(UserError, match="built with padding='symmetric', batch_norm_epsilon=1e-05"):
        load_weights(model, tmp_path / "efficientnet_b0.safetensors")
    load_weights(tiny_network(**SYMMETRIC), tmp_path / "efficientnet_b0.safetensors")
    write_safetensors(state, tmp_path / "model.safetensors")
    description = {"architecture": "tf_efficientnet_b0", "pretrained_cfg": {}}
    (tmp_path / "config.json").write_text(json.dumps(description))
    load_weights(model, tmp_path / "model.safetensors")
    description["pretrained_cfg"] = {"mean": [0.5] * 3, "std": [0.5] * 3}
    (tmp_path / "config.json").write_text(json.dumps(description))
    with pytest.raises(UserError, match=r"built with mean_rgb=\(127.5, 127.5, 127.5\)"):
        load_weights(model, tmp_path / "model.safetensors")


@pytest.mark.slow
def test_torchvision_settings(tmp_path):
    pytest.importorskip("safetensors")
    path = tmp_path / "weights.safetensors"
    write_safetensors(tiny_state(tiny_network(), "torchvision"), path)
    with pytest.raises(UserError, match="padding='symmetric', batch_norm_epsilon=1e-05"):
        load_weights(tiny_network(), path)
    load_weights(tiny_network(**SYMMETRIC), path)


def test_files_that_are_no_networks(tmp_path):
    pytest.importorskip("safetensors")
    path = tmp_path / "tf_efficientnet_b0.safetensors"
    write_safetensors({"weight": np.zeros(3)}, path)
    with pytest.raises(UserError, match="not an EfficientNet of timm or torchvision"):
        load_weights(tiny_network(), path)
    path.write_bytes(b"\xff" * 100)
    with pytest.raises(UserError, match="not a readable .safetensors"):
        load_weights(tiny_network(), path)


@pytest.mark.slow
def test_another_depth_names_the_blocks(tmp_path):
    pytest.importorskip("safetensors")
    path = tmp_path / "tf_efficientnet_b0.safetensors"
    write_safetensors(tiny_state(tiny_network(), "timm"), path)
    with pytest.raises(UserError, match="missing: blocks_.*not in the model|of another shape"):
        load_weights(tiny_network(depth_coefficient=1.0), path)


def test_pth(tmp_path):
    torch = pytest.importorskip("torch")
    source, model = tiny_network(seed=1), tiny_network(seed=2)
    state = {n: torch.tensor(v.copy()) for n, v in tiny_state(source, "timm").items()}
    path = tmp_path / "tf_efficientnet_b0.pth"
    torch.save({"epoch": 3, "state_dict": {}, "state_dict_ema": state}, path)
    load_weights(model, path)
    assert_equal_weights(model, source)


class _Malice:
    def __reduce__(self):
        return (Path.touch, (Path("malice"),))


def test_pth_runs_no_code(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": _Malice()}, "tf_efficientnet_b0.pth")
    with pytest.raises(UserError, match="weights_only=True"):
        load_weights(tiny_network(), "tf_efficientnet_b0.pth")
    assert not Path("malice").exists()


@pytest.mark.slow
def test_pth_without_torch_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    for suffix, package in ((".pth", "torch"), (".safetensors", "safetensors")):
        path = tmp_path / f"x{suffix}"
        path.touch()
        with pytest.raises(UserError, match=f"pip install {package}"):
            load_weights(tiny_network(), path)
