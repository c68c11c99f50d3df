"""Weights opened: what a run, its archive or a file says about itself, and what it starts."""

import keras
import numpy as np
import pytest
from helpers.toy import one_device, toy_config, toy_step

from efficientnet_tf.arch.variants import model_config
from efficientnet_tf.config import UserError
from efficientnet_tf.nn.network import build_network
from efficientnet_tf.run.folder import RunFolder
from efficientnet_tf.run.results import archive_if_best
from efficientnet_tf.train.checkpoint import CheckpointSaver, Keeping
from efficientnet_tf.weights.assignment import CLASSIFIER, assign, collect
from efficientnet_tf.weights.formats.run_checkpoint import list_checkpoints, read_description
from efficientnet_tf.weights.formats.tf1_export import save_tf1_checkpoint
from efficientnet_tf.weights.loading import (
    load_opened,
    load_weights,
    naming_the_variant,
    open_weights,
)
from efficientnet_tf.weights.opened import network_for
from efficientnet_tf.weights.recognition import recognise
from efficientnet_tf.weights.warm_start import start_from, warm_start

B0 = model_config("efficientnet-b0")
LABELS = list("abcdefghij")


def network(config, **changes):
    return build_network(config.replace(**changes), input_shape=(32, 32, 3))


def same(left, right, names):
    return all(np.array_equal(left[name], right[name]) for name in names)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run's folder, in a name with wildcards, with one checkpoint and its archive."""
    path = tmp_path_factory.mktemp("runs") / "lr 0.1*?"
    step = toy_step(one_device())
    folder = RunFolder(str(path))
    config = toy_config(padding="symmetric", input_size=32, resize_method="bilinear")
    folder.claim(config, "softmax", "", LABELS, order=2)
    step.optimizer.iterations.assign(7)
    saved = CheckpointSaver(str(path), step.model, step.optimizer, step.ema, Keeping(3))
    archive_if_best(folder, saved.save(7), {"top_1_accuracy": 0.5})
    return path


@pytest.mark.slow
@pytest.mark.parametrize("place", ["", "ckpt-7", "ckpt-7.index", "archive", "archive/ckpt-7"])
def test_a_run_brings_its_network_and_classes(run, place):
    weights = open_weights(f"{run}/{place}")
    assert weights.where.endswith("ckpt-7")
    assert (weights.classes, weights.label_names) == (10, tuple(LABELS))
    assert (weights.step, weights.kind) == (7, "ema")
    kept = {"dropout_rate": 0.7, "survival_prob": None, "batch_norm_momentum": 0.9}
    adapted = network_for(weights, None, kept)
    assert adapted == read_description(str(run)).network.replace(**kept)
    load_opened(network(adapted), weights)


def test_what_was_said_comes_before_the_weights_and_they_before_the_variant(run):
    weights = open_weights(str(run))
    assert network_for(weights, None, {"input_size": 64}).input_size == 64
    assert network_for(weights, None, {}).input_size == 32
    assert network_for(None, None, {}) == B0


def test_a_run_of_another_variant_is_named(run):
    with pytest.raises(UserError, match=r"ckpt-7 holds efficientnet-b0, not efficientnet-lite0"):
        network_for(open_weights(str(run)), "efficientnet-lite0", {})


def test_a_run_starts_a_network_of_other_classes(run):
    weights = open_weights(str(run))
    config = network_for(weights, None, {})
    model, trained = (network(config, num_classes=n) for n in (3, 10))
    initial = collect(model)
    report = str(start_from(model, weights))
    assert report.startswith(f"{len(initial) - 2} variables loaded from {run}/archive/ckpt-7; 2 s")
    load_opened(trained, weights)
    assert not any(collect(model)[name].any() for name in CLASSIFIER)
    assert same(collect(model), collect(trained), initial.keys() - set(CLASSIFIER))


def test_a_run_refuses_a_network_of_another_padding(run):
    with pytest.raises(UserError, match="built with padding='symmetric'"):
        load_opened(network(toy_config()), open_weights(str(run)))


def test_a_mismatch_is_listed_and_sets_nothing(run):
    model = network(toy_config(padding="symmetric"), width_coefficient=0.5)
    initial = collect(model)
    with pytest.raises(UserError, match=r"\d+ of another shape: blocks_0/.* and \d+ more$"):
        load_weights(model, f"{run}/ckpt-7")
    assert same(collect(model), initial, initial)


def test_missing_and_truncated_checkpoints_are_one_line(run, tmp_path):
    model = network(toy_config())
    with pytest.raises(UserError, match=r"ckpt-5: no such checkpoint") as error:
        load_weights(model, f"{run}/ckpt-5")
    assert "\n" not in str(error.value)
    for path in run.glob("ckpt-7.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes()[:1000])
    for shortened in ("ckpt-7.index", "ckpt-7.data-00000-of-00001"):
        with pytest.raises(UserError, match=r"ckpt-7: not a readable checkpoint") as error:
            load_weights(model, f"{tmp_path}/ckpt-7")
        assert "\n" not in str(error.value)
        (tmp_path / shortened).write_bytes((run / shortened).read_bytes())
    load_weights(model, f"{tmp_path}/ckpt-7")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("model_params.txt", '{"name": "efficient'),
        ("model_params.txt", "[1]"),
        ("labels.json", ""),
        ("labels.json", "[1]"),
    ],
)
def test_a_damaged_description_is_one_line(run, tmp_path, name, text):
    for path in [*run.glob("ckpt-7.*"), run / "model_params.txt"]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=rf"{name} is damaged") as error:
        open_weights(str(tmp_path))
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_wildcards_in_a_folders_name_hide_no_checkpoint(run):
    folder = RunFolder(str(run))
    assert archive_if_best(folder, f"{run}/ckpt-7", {"top_1_accuracy": 0.6})
    assert (run / "archive/ckpt-7.index").exists()
    step = toy_step(one_device())
    saved = CheckpointSaver(str(run), step.model, step.optimizer, step.ema, Keeping(1))
    assert saved.restore_latest() == 7


@pytest.mark.slow
def test_brackets_in_a_folders_name_are_refused_not_overlooked(tmp_path):
    path = tmp_path / "a[b]"
    step = toy_step(one_device())
    saved = CheckpointSaver(str(path), step.model, step.optimizer, step.ema, Keeping(1))
    for number in (1, 2):
        saved.save(number)
    assert not list(path.glob("ckpt-1.*"))
    assert list_checkpoints(str(path)) == [f"{path}/ckpt-2"]
    for refuse in (
        lambda: RunFolder(str(path)).check(toy_config(), "softmax"),
        saved.restore_latest,
    ):
        with pytest.raises(UserError, match=r"TensorFlow cannot read .* with \[|no checkpoint can"):
            refuse()


@pytest.mark.slow
@pytest.mark.parametrize("place", ["", "/model.ckpt", "/model.ckpt.index"])
def test_tf1_checkpoints_may_be_urls(tmp_path, place):
    saved, model = network(toy_config()), network(toy_config())
    save_tf1_checkpoint(saved, str(tmp_path / "model.ckpt"))
    keras.utils.set_random_seed(1)
    load_weights(model, f"file://{tmp_path}{place}")
    assert same(collect(model), collect(saved), collect(model))


def test_other_files_at_urls_say_to_download():
    with pytest.raises(UserError, match=r"gs://b/x.keras: .* download it first"):
        load_weights(network(toy_config()), "gs://b/x.keras")


def test_published_weights_into_a_model_with_its_own_name_ask_for_the_variant():
    with pytest.raises(UserError, match=r"'mynet'.*model_name="):
        warm_start(network(toy_config(), name="mynet"), "imagenet")


@pytest.mark.slow
def test_weights_of_another_variant_are_named():
    """The shapes tell it, whatever the file is called."""
    weights = collect(build_network(model_config("efficientnet-b1"), include_top=False))
    shapes = {name: value.shape for name, value in weights.items()}
    assert recognise(shapes) == ["efficientnet-b1"]
    with (
        pytest.raises(UserError, match=r"does not fit .*\. These are weights of efficientnet-b1$"),
        naming_the_variant(weights, B0.name),
    ):
        assign(build_network(B0, include_top=False), weights, "x.h5")
