"""Which network, weights, size and classes each mode takes: what was said, the run, the data."""

import dataclasses
import json
import logging
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.shard_writer import write_imagenet
from helpers.toy import TINY_RUN, one_device, tiny_run
from PIL import Image

import efficientnet_tf as en
from efficientnet_tf.arch.variants import model_config
from efficientnet_tf.config import DataConfig, RunConfig, TrainConfig, UserError
from efficientnet_tf.imagenet import class_names
from efficientnet_tf.nn.network import build_network
from efficientnet_tf.run import modes
from efficientnet_tf.run.fit import fit
from efficientnet_tf.run.polling import CheckpointWatch
from efficientnet_tf.run.session import open_session
from efficientnet_tf.weights.assignment import CLASSIFIER, collect
from efficientnet_tf.weights.conversion import convert
from efficientnet_tf.weights.formats.run_checkpoint import list_checkpoints
from efficientnet_tf.weights.formats.tf1_export import save_tf1_checkpoint

pytestmark = pytest.mark.slow

ONLY_DATA = DataConfig(dataset="digits", eval_batch_size=60)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A network of a quarter of B0's width, trained for two steps on digits at 32 pixels."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    fit(tiny_run(folder, train_steps=2))
    return folder


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "a.png"
    pixels = np.random.RandomState(0).randint(0, 256, [40, 40, 3]).astype("uint8")
    Image.fromarray(pixels).save(path)
    return str(path)


def result_of(capsys, **run_config):
    """What `--mode=eval` prints last."""
    modes.execute(RunConfig(**{"mode": "eval", "data": ONLY_DATA, **run_config}))
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def assert_same_result(result, expected):
    assert result.pop("weights") == expected.pop("weights") == "ema"
    assert result == pytest.approx(expected, rel=1e-5)


def last_line(folder):
    return json.loads((folder / "eval.jsonl").read_text().splitlines()[-1])


def test_evaluating_a_run_needs_neither_its_network_nor_its_size(run, capsys):
    before = (run / "eval.jsonl").read_text()
    result = result_of(capsys, train=TrainConfig(model_dir=str(run)))
    assert last_line(run) == result
    assert_same_result(result, json.loads(before.splitlines()[-1]))


def test_evaluating_a_fine_tuned_run_takes_its_own_weights(run, tmp_path, capsys):
    """Its flags name `--init_checkpoint` too, which is only what it started from."""
    trained = fit(tiny_run(tmp_path, train_steps=30, init_checkpoint=str(run)))
    said = TrainConfig(model_dir=str(tmp_path), init_checkpoint=str(run))
    result = result_of(capsys, train=said)
    assert result["step"] == 30
    assert_same_result(result, trained.evaluations[-1])
    started_from = result_of(capsys, train=TrainConfig(init_checkpoint=str(run)))
    assert started_from["step"] == 2 and started_from["loss"] != pytest.approx(result["loss"])


def test_a_run_that_goes_on_does_not_open_what_it_started_from(run, tmp_path):
    start = str(shutil.copytree(run, tmp_path / "start"))
    fit(tiny_run(tmp_path / "run", train_steps=2, init_checkpoint=start))
    shutil.rmtree(start)
    gone = fit(tiny_run(tmp_path / "run", train_steps=4, init_checkpoint=start))
    assert gone.evaluations[-1]["step"] == 4
    with pytest.raises(UserError, match="/nowhere/at-all: no such checkpoint"):
        fit(tiny_run(tmp_path / "new", train_steps=4, init_checkpoint="/nowhere/at-all"))


def test_a_converted_file_alone_predicts_what_the_run_predicts(run, picture, tmp_path, capsys):
    outputs = []
    for name in ("run", "b0.keras", "b0.weights.h5", "b0.safetensors"):
        source = str(run)
        if name != "run":
            source = str(tmp_path / name)
            convert(None, str(run), source)
        output = str(tmp_path / f"{name}.json")
        train = TrainConfig(init_checkpoint=source)
        config = RunConfig("predict", train=train, arguments=(picture,), output_json=output)
        modes.execute(config)
        outputs.append(json.loads((tmp_path / f"{name}.json").read_text()))
    assert [p["name"] for p in outputs[0][0]["predictions"]][0].isdigit()
    for other in outputs[1:]:
        assert other == outputs[0]


@pytest.mark.parametrize("name", ["tiny.tflite", "tiny.onnx", "tiny.pb"])
def test_formats_that_are_not_written_are_refused(run, tmp_path, name):
    with pytest.raises(UserError, match=rf"{name}: write \.keras"):
        convert(None, str(run), tmp_path / name)
    assert not list(tmp_path.iterdir())


CENTRED = {"mean_rgb": (127.5,) * 3, "stddev_rgb": (127.5,) * 3}


@pytest.mark.parametrize("name", ["x.safetensors", "x.weights.h5", "x.keras"])
def test_settings_come_back_whatever_the_file_is_called(name, tmp_path):
    """A name with `tf_` in it, or without, told timm's networks from PyTorch's and from ours."""
    config = model_config("efficientnet-b0", **TINY_RUN.overrides, num_classes=7, **CENTRED)
    model = build_network(config, input_shape=(32, 32, 3))
    save_tf1_checkpoint(model, tmp_path / "tf1", scope=config.name)
    convert("efficientnet-b0", tmp_path / "tf1", tmp_path / name, **TINY_RUN.overrides, **CENTRED)
    again = en.build_model("efficientnet-b0", weights=str(tmp_path / name), input_shape=(32, 32, 3))
    images = np.random.RandomState(0).uniform(0, 255, [2, 32, 32, 3]).astype("float32")
    np.testing.assert_allclose(again(images), model(images), rtol=1e-6)


def test_what_a_tf1_checkpoint_cannot_hold_is_said(run, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        convert(None, str(run), tmp_path / "tf1")
    assert "cannot hold input_size=32, the names of the classes" in caplog.text


def test_a_classifier_of_another_size_is_new_and_said_to_be(run, tmp_path, caplog):
    convert(None, str(run), tmp_path / "b0.keras")
    for source in (run, tmp_path / "b0.keras"):
        caplog.clear()
        model = en.build_model("efficientnet-b0", num_classes=7, weights=str(source))
        assert model.output_shape == (None, 7)
        assert "classifier of 10 classes is left out; the one of 7 classes is new" in caplog.text
        whole = collect(en.build_model("efficientnet-b0", weights=str(source)))
        for name, value in collect(model).items():
            if name not in CLASSIFIER:
                np.testing.assert_array_equal(value, whole[name])


def test_a_constructor_takes_weights_of_other_classes(tmp_path):
    source = build_network(model_config("efficientnet-lite0"))
    save_tf1_checkpoint(source, tmp_path / "lite0")
    model = en.EfficientNetLite0(weights=str(tmp_path / "lite0"), classes=7)
    assert model.output_shape == (None, 7)
    expected, got = collect(source), collect(model)
    assert all(np.array_equal(got[n], expected[n]) for n in got if n not in CLASSIFIER)


@pytest.mark.parametrize("channels", [1, 4])
def test_images_that_are_not_rgb_get_an_adapted_stem_and_a_line_says_so(run, channels, caplog):
    """A grey picture gives what it gave in RGB, apart from the pixels at its border."""
    shape = (32, 32, channels)
    model = en.build_model("efficientnet-b0", weights=str(run), input_shape=shape)
    assert "the stem was adapted to" in caplog.text
    rgb = en.build_model("efficientnet-b0", weights=str(run))
    grey = np.random.RandomState(0).uniform(0, 255, [2, 32, 32, 1]).astype("float32")
    stems = [
        keras.Model(m.inputs, m.get_layer("stem").output)(np.repeat(grey, count, -1)).numpy()
        for m, count in ((model, channels), (rgb, 3))
    ]
    np.testing.assert_allclose(stems[0][:, 1:-1, 1:-1], stems[1][:, 1:-1, 1:-1], atol=1e-4)


def test_names_of_a_run_with_a_background_class():
    names = class_names(4, ("cat", "dog", "owl"))
    assert names == ["background", "cat", "dog", "owl"]
    assert class_names(3, ("cat", "dog", "owl")) == ["cat", "dog", "owl"]
    assert class_names(5, None) == ["0", "1", "2", "3", "4"]
    assert class_names(1001, None)[:2] == ["background", "tench, Tinca tinca"]


def test_predictions_of_a_run_with_a_background_class(picture, tmp_path):
    """The data's classes count from 0 and the background is -1."""
    config = tiny_run(tmp_path / "run", train_steps=1)
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, num_classes=11))
    fit(config)
    output = tmp_path / "out.json"
    train = TrainConfig(model_dir=str(tmp_path / "run"))
    modes.execute(RunConfig("predict", train=train, arguments=(picture,), output_json=str(output)))
    for prediction in json.loads(output.read_text())[0]["predictions"]:
        if prediction["class"] == -1:
            assert prediction["name"] == "background"
        else:
            assert prediction["name"] == str(prediction["class"])


def test_a_run_begun_with_another_order_says_so(run, tmp_path):
    for path in [*run.glob("ckpt-2.*"), run / "model_params.txt"]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert list_checkpoints(str(tmp_path))
    with pytest.raises(UserError, match="shuffled the pictures in another order"):
        fit(tiny_run(tmp_path, train_steps=4))


def test_weights_and_data_of_other_classes_are_one_line(run, tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for index in range(5):
            Image.new("RGB", (40, 40)).save(tmp_path / name / f"{index}.png")
    config = RunConfig(
        "eval",
        data=DataConfig(dataset="folder", data_dir=str(tmp_path)),
        train=TrainConfig(init_checkpoint=str(run)),
    )
    with pytest.raises(UserError, match=r"ckpt-2 has 10 classes, --dataset=folder has 2") as error:
        modes.execute(config)
    assert "\n" not in str(error.value)


def test_a_file_is_opened_once(run, tmp_path, monkeypatch):
    convert(None, str(run), tmp_path / "b0.keras")
    calls, load = [], keras.saving.load_model
    monkeypatch.setattr(
        keras.saving, "load_model", lambda *a, **k: calls.append(a) or load(*a, **k)
    )
    en.build_model("efficientnet-b0", weights=str(tmp_path / "b0.keras"))
    assert len(calls) == 1


def test_fit_returns_the_averaged_network_and_prints_nothing(tmp_path, capsys):
    done = fit(tiny_run(tmp_path, train_steps=2))
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err == ""
    assert [e["step"] for e in done.evaluations] == [2]
    assert done.label_names == [str(i) for i in range(10)]
    expected = en.build_model("efficientnet-b0", weights=done.model_dir, classifier_activation=None)
    images = np.random.RandomState(0).uniform(0, 255, [2, 32, 32, 3]).astype("float32")
    np.testing.assert_allclose(done.model(images), expected(images), atol=1e-6)


def test_fit_takes_a_users_own_data_and_augmentation(tmp_path):
    images = np.random.RandomState(0).randint(0, 256, [24, 40, 40, 3]).astype("uint8")
    data = tf.data.Dataset.from_tensor_slices((images, np.arange(24) % 3))
    seen = []

    def negative(image, seed):
        seen.append(image.shape)
        return 255 - image

    config = tiny_run(tmp_path, train_steps=2)
    with pytest.raises(UserError, match="config.data.num_classes"):
        fit(config, data, data)
    own = dataclasses.replace(config.data, dataset=None, num_classes=3)
    done = fit(dataclasses.replace(config, data=own), data, data.take(9), augment=negative)
    assert done.evaluations[-1]["num_images"] == 9
    assert done.model.output_shape == (None, 3)
    assert seen[0] == (32, 32, 3)


def test_a_test_is_evaluated_on_the_validation_shards_even_with_a_hold_out(tmp_path):
    """As in the original, where `--eval_name` with "test" in it switches the hold-out off."""
    for split, sizes in (("train", [8, 4]), ("validation", [6])):
        write_imagenet(tmp_path, split, sizes)
    train = tiny_run(tmp_path / "run", train_steps=1)
    shards = DataConfig(
        data_dir=str(tmp_path), image_size=32, holdout_shards=1, eval_batch_size=4,
        train_batch_size=4, num_classes=1000,
    )  # fmt: skip
    done = fit(dataclasses.replace(train, data=shards))
    assert done.evaluations[-1]["num_images"] == 8
    counts = {}
    for name in ("minival", "test"):
        settings = TrainConfig(model_dir=str(tmp_path / "run"), eval_name=name)
        session = open_session(RunConfig("eval", data=shards, train=settings), training=False)
        counts[name] = session.source.num_eval_images
    assert counts == {"minival": 8, "test": 6}


def test_the_next_checkpoint_is_the_newest_after_the_last_one_evaluated(run, tmp_path):
    strategy = one_device()
    watch = CheckpointWatch(strategy, str(run))
    assert watch.next(-1, 0).where.endswith("ckpt-2")
    assert watch.next(2, 0) is None
    assert CheckpointWatch(strategy, str(tmp_path)).next(-1, 0) is None
