"""What an export refuses, and what it does not keep."""

import dataclasses
import importlib.util
import json
import re

import keras
import numpy as np
import pytest
from helpers.command import call
from helpers.toy import tiny_run, toy_config
from PIL import Image

import efficientnet_tf as en
from efficientnet_tf.exports import formats
from efficientnet_tf.exports.report import ExportFailed
from efficientnet_tf.exports.worker import run_apart
from efficientnet_tf.nn.network import build_network
from efficientnet_tf.run.fit import fit

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.uniform(0, 255, (24, 32, 32, 3)).astype("float32")


@pytest.fixture(scope="module")
def toy():
    keras.utils.set_random_seed(0)
    return build_network(toy_config(), input_shape=(32, 32, 3))


@pytest.fixture
def target(tmp_path):
    return tmp_path / "export"


def refusal(model, target, *arguments, **options) -> str:
    with pytest.raises(en.UserError) as error:
        en.export(model, target, *arguments, **options)
    assert not target.exists() and "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"calibration": IMAGES[:, :16, :16]}, "calibration of shape .* takes images .N, 32, 32"),
        ({"calibration": IMAGES[:0]}, "calibration: there are none"),
        ({"pictures": IMAGES / 255}, "must be RGB in 0..255"),
        ({"pictures": IMAGES, "labels": [0, 1]}, "2 labels for 24 pictures"),
        ({"pictures": IMAGES, "labels": [10] * 24}, "label 10 is none of the 10 classes"),
        ({"label_names": ["cat"]}, "1 label_names for a model of 10 classes"),
        ({"int16_layers": ["se"]}, "litert_mixed goes with"),
        ({"formats": ["litert", "tflite"]}, "unknown export format 'tflite'; did you mean litert"),
        ({"formats": []}, "name some of"),
        ({"formats": ["litert_int8"]}, "litert_int8: pictures to calibrate with are needed"),
        ({"formats": ["litert_mixed"], "pictures": IMAGES}, "litert_mixed goes with"),
    ],
)
def test_arguments_that_are_refused(toy, target, options, reason):
    assert re.search(reason, refusal(toy, target, **options))


def test_models_that_are_no_classifier_of_images(toy, target):
    assert "does not normalise" in refusal(
        build_network(toy_config(), input_shape=(32, 32, 3), include_preprocessing=False), target
    )
    free = build_network(toy_config(), input_shape=(None, None, 3))
    assert "fixed size" in refusal(free, target)
    features = en.feature_extractor(toy, ["reduction_1", "reduction_2"])
    assert "only classifiers" in refusal(features, target)


def test_weights_that_are_no_numbers(target):
    model = build_network(toy_config(), input_shape=(32, 32, 3))
    model.get_layer("predictions").bias.assign([np.nan] * 10)
    assert "its own probabilities are no numbers" in refusal(model, target, pictures=IMAGES)


def test_a_package_that_is_missing_is_named_with_the_extra(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        formats.importlib.util,
        "find_spec",
        lambda name: None if name == "openvino" else found(name),
    )
    with pytest.raises(en.UserError, match=r"openvino needs openvino: pip install .*\[export\]"):
        formats.installed_formats(["saved_model", "openvino"])


def test_folders_that_are_refused(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "notes.txt").write_text("")
    for name, reason in (("file", "is a file"), ("used", "is not empty")):
        with pytest.raises(en.UserError, match=reason):
            formats.check_target(str(tmp_path / name))
    with pytest.raises(en.UserError, match="local files"):
        formats.check_target("gs://bucket/export")


def test_flags_that_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    Image.new("RGB", (40, 40)).save(tmp_path / "a.png")
    for flags, reason in (
        ([], "needs --export_dir"),
        (["--export_dir=x"], "needs --export_dir"),
        (["--export_formats=onyx"], "did you mean onnx"),
        (["--min_agreement=1.5"], "must be at most 1"),
        (["--num_calibration_images=0"], "must be positive"),
    ):
        done = call("--mode=export", *flags)
        assert done.returncode == 1 and reason in done.stderr, done.stderr
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
def test_a_run_without_its_best_checkpoint_or_pictures(tmp_path, target):
    config = tiny_run(tmp_path / "run", 2)
    fit(dataclasses.replace(config))
    where = (f"--model_dir={tmp_path / 'run'}", f"--export_dir={target}", "--mode=export")
    done = call(*where, "--export_formats=litert_int8")
    assert "--calibration_data=FOLDER, or --dataset and --data_dir" in done.stderr
    (tmp_path / "empty").mkdir()
    done = call(*where, "--export_formats=litert_int8", f"--calibration_data={tmp_path / 'empty'}")
    assert "--calibration_data: " in done.stderr and "has no JPEG" in done.stderr
    for file in (tmp_path / "run" / "archive").glob("ckpt*"):
        file.unlink()
    done = call(*where)
    assert "its best checkpoint, which is gone" in done.stderr
    assert f"--init_checkpoint={tmp_path / 'run'}/ckpt-2" in done.stderr
    assert not target.exists()


@pytest.mark.slow
def test_what_disagrees_or_does_not_run_is_not_kept_and_the_rest_is(toy, target):
    """The toy's weights are new, so that its classes hang on differences that int8 does not keep.

    Antialiased resizing is a kernel that neither LiteRT has, and that its converter would leave to
    TensorFlow.
    """
    inputs = keras.Input((32, 32, 3))
    sized = keras.layers.Resizing(32, 32, antialias=True)(inputs)
    model = keras.Model(inputs, toy(sized), name="resized")
    with pytest.raises(ExportFailed) as error:
        en.export(toy, target, ["litert_int8", "litert"], pictures=IMAGES)
    int8, whole = error.value.report.formats
    assert "fewer than --min_agreement=0.95" in str(error.value)
    assert int8.file is None and int8.compared and int8.compared.agreement < 0.95
    assert whole.compared and whole.compared.agreement == 1
    kept = sorted(path.name for path in target.iterdir())
    assert kept == ["export_report.json", "export_report.png", "labels.txt", "model.tflite"]
    with pytest.raises(en.UserError, match="no layer's name has 'blocks_99' in it"):
        run_apart(
            "quantization.quantize",
            source=str(target / "model.tflite"),
            **{"target": "", "pictures": "", "bits": 8},
            **{"int16_layers": [], "float_layers": ["blocks_99"]},
        )
    notes = json.loads((target / "export_report.json").read_text())["notes"]
    assert any("efficientnet-lite0 is made for it" in note for note in notes)
    with pytest.raises(ExportFailed, match="litert: .*") as error:
        en.export(model, target.with_name("resized"), ["litert"], pictures=IMAGES)
    assert error.value.report.formats[0].file is None


@pytest.mark.slow
def test_a_family_that_a_format_has_no_operators_for(target):
    overrides = {"width_coefficient": 0.25, "depth_coefficient": 0.1, "num_classes": 7}
    network = en.model_config("efficientnet-condconv-b0-4e", **overrides)
    model = build_network(network, input_shape=(32, 32, 3))
    with pytest.raises(ExportFailed, match="litert: has no convolution .* saved_model has"):
        en.export(model, target, ["litert"], pictures=IMAGES)
    assert not list(target.glob("*.tflite"))


@pytest.mark.slow
def test_layers_are_kept_by_the_patterns_of_their_names(toy, target):
    options = {"pictures": IMAGES, "min_agreement": 0.0}
    report = en.export(
        toy, target, ["litert_mixed"], float_layers=["blocks_1"], int16_layers=["stem"], **options
    )
    (mixed,) = report.formats
    assert mixed.operators and mixed.operators["DEQUANTIZE"] >= 2  # before blocks_1, at the end
    assert mixed.operators["QUANTIZE"] >= 3  # at the beginning, from int16 to int8, after blocks_1
