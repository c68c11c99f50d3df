"""Formats into each other, and starts from weights that fit in part."""

import functools
import logging
import tarfile
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.reference import read_case, reference_dir

from efficientnet_tf.arch.variants import model_config
from efficientnet_tf.config import UserError
from efficientnet_tf.nn.network import build_network
from efficientnet_tf.weights.assignment import CLASSIFIER, collect
from efficientnet_tf.weights.conversion import convert
from efficientnet_tf.weights.formats.tf1_checkpoint import (
    EMA_SUFFIX,
    TF1Checkpoint,
    load_tf1_checkpoint,
)
from efficientnet_tf.weights.formats.tf1_export import save_tf1_checkpoint
from efficientnet_tf.weights.loading import load_weights
from efficientnet_tf.weights.published.table import resolve
from efficientnet_tf.weights.warm_start import warm_start

CASES = reference_dir() / "forward"
B0 = CASES / "efficientnet-b0"
SMALL = read_case(B0)["overrides"]
CLASSES = SMALL["num_classes"]


@functools.cache
def _built(name, include_top, **overrides):
    overrides = {**read_case(CASES / name)["overrides"], **overrides}
    return build_network(model_config(name, **overrides), include_top=include_top)


def network(name="efficientnet-b0", include_top=True, **overrides):
    """A network with weights of its own; building one takes longer than most tests here."""
    model, random = _built(name, include_top, **overrides), np.random.default_rng(0)
    for variable in model.weights:
        variable.assign(random.normal(size=variable.shape))
    return model


@pytest.fixture(scope="module")
def reference():
    """The averaged weights of the reference checkpoint, read by TensorFlow alone."""
    reader = tf.train.load_checkpoint(str(B0 / "model.ckpt"))
    names = reader.get_variable_to_shape_map()
    return {n: reader.get_tensor(n) for n in names if n.endswith(EMA_SUFFIX)}


def named(model, suffix=EMA_SUFFIX):
    return {f"efficientnet-b0/{name}{suffix}": value for name, value in collect(model).items()}


def assert_same(weights, expected):
    assert weights.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(weights[name], value, err_msg=name)


TARGETS = ["b0.keras", "b0.weights.h5", "b0.safetensors", "checkpoint", "prefix/b0.ckpt"]


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_convert_there_and_back(name, tmp_path, reference):
    if name.endswith("safetensors"):
        pytest.importorskip("safetensors")
    target, back = tmp_path / name, tmp_path / "back"
    config = convert("efficientnet-b0", B0, target, **SMALL)
    assert config.num_classes == CLASSES
    convert("efficientnet-b0", target, back, **SMALL)
    reader = tf.train.load_checkpoint(str(back))
    names = [n for n in reader.get_variable_to_shape_map() if n.endswith(EMA_SUFFIX)]
    assert_same({n: reader.get_tensor(n) for n in names}, reference)
    model = network()
    load_weights(model, target)
    assert_same(named(model), reference)


@pytest.mark.slow
def test_converted_keras_file_needs_no_more_than_keras(tmp_path):
    convert("efficientnet-b0", B0, tmp_path / "b0.keras", **SMALL)
    model = keras.saving.load_model(tmp_path / "b0.keras")
    assert model.layers[-1].name == "output"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["condconv-b0-4e", "edgetpu-S", "lite0", "x-b0"])
def test_export_holds_the_original_names(name, tmp_path):
    """Every variable the original saves, with its shape and both sets of values."""
    name = f"efficientnet-{name}"
    model, case = network(name), CASES / name
    load_tf1_checkpoint(model, str(case), ema=False)
    averages = TF1Checkpoint(str(case)).read_all(ema=True)
    save_tf1_checkpoint(model, tmp_path, averages, global_step=7)
    written, original = (tf.train.load_checkpoint(str(path)) for path in (tmp_path, case))
    shapes = original.get_variable_to_shape_map()
    assert {"global_step": [], **shapes} == written.get_variable_to_shape_map()
    assert written.get_tensor("global_step") == 7
    for variable in shapes.keys() - {"global_step"}:
        np.testing.assert_array_equal(
            written.get_tensor(variable), original.get_tensor(variable), err_msg=variable
        )


def test_convert_refuses_formats_nobody_reads(tmp_path):
    with pytest.raises(UserError, match="x.h5: write .keras"):
        convert("efficientnet-b0", B0, tmp_path / "x.h5", **SMALL)


@pytest.mark.slow
def test_checkpoint_of_another_variant_names_the_first_mismatches():
    model = network(depth_coefficient=1.4)
    first = r"304 missing: blocks_\d+/.* of another shape: blocks_1/conv2d/kernel \(1, 1, 8, 48\)"
    with pytest.raises(UserError, match=f"does not fit efficientnet-b0: {first}"):
        load_weights(model, B0)


@pytest.mark.slow
def test_wrong_class_count():
    with pytest.raises(UserError, match=f"has {CLASSES} classes, efficientnet-b0 has 7: build"):
        load_weights(network(num_classes=7), B0)


@pytest.mark.slow
def test_model_without_top_takes_the_rest(reference):
    model = network(include_top=False)
    load_weights(model, B0)
    rest = {name: value for name, value in reference.items() if "/head/dense/" not in name}
    assert_same(named(model), rest)


@pytest.mark.slow
@pytest.mark.parametrize("source", ["tf1", "b0.weights.h5"])
def test_a_classifier_of_another_size_starts_at_zero(source, tmp_path, reference):
    path = B0
    if source != "tf1":
        path = tmp_path / source
        convert("efficientnet-b0", B0, path, **SMALL)
    model = network(num_classes=7)
    assert all(collect(model)[name].any() for name in CLASSIFIER)
    report = warm_start(model, path)
    assert report.skipped == report.zeroed == CLASSIFIER and report.missing == ()
    assert len(report.loaded) == len(reference) - 2
    assert "2 skipped: head/dense/bias, head/dense/kernel; the new" in str(report)
    after = named(model)
    for name in CLASSIFIER:
        assert not after.pop(f"efficientnet-b0/{name}{EMA_SUFFIX}").any()
    assert_same(after, {name: reference[name] for name in after})


def test_warm_start_leaves_a_classifier_on_request():
    model = network()
    report = warm_start(model, B0, skip_classifier=True)
    assert report.skipped == report.zeroed == CLASSIFIER
    assert not model.get_layer("predictions").kernel.numpy().any()


@pytest.mark.slow
def test_warm_start_from_a_network_without_top(tmp_path):
    headless = network(include_top=False)
    headless.save_weights(tmp_path / "features.weights.h5")
    report = warm_start(network(), tmp_path / "features.weights.h5")
    assert report.missing == report.zeroed == CLASSIFIER and report.skipped == ()


@pytest.mark.slow
def test_warm_start_from_another_variant_loads_nothing():
    model = network(width_coefficient=0.5, num_classes=7)
    before = collect(model)
    with pytest.raises(UserError, match="of another shape"):
        warm_start(model, B0)
    assert_same(collect(model), before)


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory):
    """A checkpoint with 1001 classes, and one with 1000: `{classes: (path, weights)}`."""
    made = {}
    for classes in (1000, 1001):
        model = network(num_classes=classes)
        model.get_layer("predictions").bias.assign(np.arange(classes))
        path = tmp_path_factory.mktemp("imagenet") / f"{classes}"
        made[classes] = (save_tf1_checkpoint(model, path), collect(model))
    return made


@pytest.mark.slow
def test_background_is_dropped_and_that_is_said(imagenet, caplog):
    path, weights = imagenet[1001]
    model = network(num_classes=1000)
    with caplog.at_level(logging.WARNING):
        load_weights(model, path)
    assert "background class was dropped" in caplog.text
    kernel, bias = CLASSIFIER
    np.testing.assert_array_equal(collect(model)[kernel], weights[kernel][:, 1:])
    np.testing.assert_array_equal(collect(model)[bias], np.arange(1, 1001))
    report = warm_start(model, path)
    assert report.label_shift == -1 and "labels shift by -1" in str(report)


def test_background_is_added(imagenet):
    path, weights = imagenet[1000]
    model = network(num_classes=1001)
    own = collect(model)
    assert warm_start(model, path).label_shift == 1
    for name in CLASSIFIER:
        found = collect(model)[name]
        np.testing.assert_array_equal(found[..., 1:], weights[name])
        np.testing.assert_array_equal(found[..., :1], own[name][..., :1])


def test_path_may_be_a_path():
    load_weights(network(), Path(B0))
    load_weights(network(), str(B0 / "model.ckpt.index"))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty Keras cache, and how to put the reference checkpoint there as a published set."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))

    def place(weights):
        preset = resolve("efficientnet-b0", weights)
        archive = tmp_path / "models" / "efficientnet_tf" / f"{preset.archive}.tar.gz"
        archive.parent.mkdir(parents=True)
        with tarfile.open(archive, "w:gz") as file:
            file.add(B0, "efficientnet-b0")

    return place


def test_preset_from_the_cache(cache, reference):
    cache("autoaugment")
    model = network()
    load_weights(model, "imagenet")
    assert_same(named(model), reference)


@pytest.mark.slow
def test_preset_of_another_normalisation_is_told_before_any_download(cache):
    with pytest.raises(UserError, match=r"b0 advprop needs .* mean_rgb=\(127.5, 127.5, 127.5\)"):
        load_weights(network(), "advprop")
    cache("advprop")
    load_weights(network(mean_rgb=(127.5,) * 3, stddev_rgb=(127.5,) * 3), "advprop")


def test_preset_with_another_number_of_classes(cache):
    cache("baseline")
    with pytest.raises(UserError, match="efficientnet-b0 baseline has .* classes, efficientnet-b0"):
        load_weights(network(num_classes=7), "baseline")
    assert warm_start(network(num_classes=7), "baseline").skipped == CLASSIFIER


@pytest.mark.slow
def test_keras_file_tells_what_its_network_computes(tmp_path):
    path, overrides = tmp_path / "b0.keras", {"mean_rgb": (1.0,) * 3, "padding": "symmetric"}
    network(**overrides).save(path)
    with pytest.raises(UserError, match=r"padding='symmetric', mean_rgb=\(1.0, 1.0, 1.0\)"):
        load_weights(network(), path)
    assert convert("efficientnet-b0", path, tmp_path / "x.keras", **SMALL).padding == "symmetric"


def test_unknown_set_is_listed_with_those_that_exist():
    with pytest.raises(UserError, match="'imagnet' are neither a file nor published.*noisy-stud"):
        load_weights(network(), "imagnet")
