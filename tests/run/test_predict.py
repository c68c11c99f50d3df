"""Prediction, conversion and summary through the command line, on a run of a tiny network."""

import csv
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from helpers.command import TINY, call
from helpers.toy import TINY_OVERRIDES
from PIL import Image

from efficientnet_tf import data
from efficientnet_tf.arch.variants import model_config
from efficientnet_tf.nn.network import build_network
from efficientnet_tf.run.modes import predict
from efficientnet_tf.weights.formats.run_checkpoint import read_description
from efficientnet_tf.weights.loading import load_weights

pytestmark = pytest.mark.slow


def network_of(folder):
    return read_description(str(folder)).network


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A tiny network trained for two steps and exported."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    flags = (f"--model_dir={folder}", f"--export_dir={folder}/export")
    result = call(*TINY, *flags, "--train_steps=2", "--mode=train")
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    pixels = np.random.RandomState(0).randint(0, 256, [3, 50, 60, 3]).astype("uint8")
    names = ("a.jpg", "b.png", "grey.png")
    modes = ("RGB", "RGBA", "L")
    for name, mode, image in zip(names, modes, pixels, strict=True):
        Image.fromarray(image).convert(mode).save(folder / name)
    (folder / "broken.jpg").write_bytes(b"not a picture")
    return folder


def test_predict_is_the_network_on_each_picture(run, pictures, tmp_path):
    names = ("a.jpg", "broken.jpg", "b.png", "missing.png", "grey.png")
    files = [str(pictures / name) for name in names]
    output = tmp_path / "predictions.json"
    result = call(
        *("--mode=predict", f"--model_dir={run}", "--eval_batch_size=2"),
        *(f"--output_json={output}", *files),
    )
    assert result.returncode == 1
    assert result.stderr == "error: 2 of 5 files could not be read\n"
    results = {r["file"]: r for r in json.loads(output.read_text())}
    assert list(results) == files
    assert results[files[1]]["error"].endswith(
        "broken.jpg is not a JPEG, PNG, GIF, BMP or WebP picture"
    )
    assert results[files[3]]["error"].endswith("missing.png: no such file")

    config = model_config("efficientnet-b0", num_classes=10, **TINY_OVERRIDES)
    model = build_network(config, input_shape=(32, 32, 3))
    load_weights(model, str(run))
    for file in (files[0], files[2], files[4]):
        probabilities = model(data.read_picture(file, 32, "bicubic")[None]).numpy()[0]
        predictions = results[file]["predictions"]
        assert [p["class"] for p in predictions] == list(np.argsort(-probabilities)[:5])
        np.testing.assert_allclose(
            [p["probability"] for p in predictions], np.sort(probabilities)[:-6:-1], rtol=1e-5
        )
        assert all(p["name"] == str(p["class"]) for p in predictions)
        assert f"{predictions[0]['probability']:7.2%}" in result.stdout


def test_many_pictures_by_pattern_in_every_format(run, pictures, tmp_path, monkeypatch):
    names = [f"{number:02d}.jpg" for number in range(23)]
    for name in names:
        shutil.copy(pictures / "a.jpg", tmp_path / name)
    (tmp_path / names[11]).write_bytes(b"no picture")
    flags = ("--mode=predict", f"--model_dir={run}", "--eval_batch_size=4", f"{tmp_path}/*.jpg")
    for ending, many in (("json", 24), ("jsonl", 23), ("csv", 24)):
        monkeypatch.setattr(predict, "_MANY", many)
        (tmp_path / f"out.{ending}").write_text("of an earlier run")
        result = call(*flags, f"--output_json={tmp_path}/out.{ending}")
        assert result.stderr == "error: 1 of 23 files could not be read\n"
        assert "%" not in result.stdout, "as many tables as that are for no reader"
    results = json.loads((tmp_path / "out.json").read_text())
    assert [r["file"] for r in results] == [str(tmp_path / name) for name in names]
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    for frozen, plain in zip(map(json.loads, lines), results, strict=True):
        assert frozen.get("error") == plain.get("error")
        pairs = zip(frozen.get("predictions", ()), plain.get("predictions", ()), strict=True)
        for one, other in pairs:
            assert one == {**other, "probability": pytest.approx(other["probability"], rel=1e-4)}
    with open(tmp_path / "out.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 22 * 5 + 1
    assert [row["error"] for row in rows if row["error"]] == [results[11]["error"]]
    first, best = rows[0], results[0]["predictions"][0]
    assert (first["rank"], first["name"]) == ("1", best["name"])
    assert float(first["probability"]) == best["probability"]
    assert not list(tmp_path.glob("*.part"))


def test_a_pattern_that_nothing_fits_and_a_file_that_cannot_be_written(run, pictures, tmp_path):
    flags = ("--mode=predict", f"--model_dir={run}")
    result = call(*flags, f"{tmp_path}/*.jpg")
    assert result.stderr == f"error: {tmp_path}/*.jpg: no file has such a name\n"
    (tmp_path / "out.json.part").mkdir()
    result = call(*flags, f"--output_json={tmp_path}/out.json", pictures / "a.jpg")
    assert result.returncode == 1 and result.stderr.startswith(
        f"error: --output_json={tmp_path}/out.json cannot be written: "
    )
    assert result.stderr.count("\n") == 1


def test_predict_needs_pictures_and_weights(run):
    result = call("--mode=predict", f"--model_dir={run}")
    assert result.returncode == 1 and "needs picture files" in result.stderr
    result = call("--mode=predict", "cat.jpg")
    assert result.returncode == 1 and "needs --init_checkpoint" in result.stderr


def test_summary_prints_tables_and_draws_the_augmentation(tmp_path):
    result = call("--mode=summary", "--model_name=efficientnet-b5")
    assert "30,389,784" in result.stdout and "efficientnet-l2" in result.stdout
    result = call(
        *("--mode=summary", "--model_name=efficientnet-b5", "--dataset=digits"),
        *("--input_image_size=64", f"--model_dir={tmp_path}"),
    )
    assert result.returncode == 0, result.stderr
    assert "efficientnet-b5, 64 x 64 pixels" in result.stdout
    # Eight pictures across; the originals, then two rows of each of two policies.
    assert Image.open(tmp_path / "augmentation.png").size[0] >= 8 * 64


def test_summary_tells_what_a_folder_of_pictures_is_like(tmp_path):
    folder, pixels = tmp_path / "pictures", np.random.RandomState(0).randint(0, 256, [6, 90, 70, 3])
    for i, name in enumerate(("train/ant/0", "train/ant/1", "train/bee/2", "val/ant/3")):
        file = folder / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[i].astype("uint8")).resize([70 + i, 90]).save(file)
    shutil.copy(folder / "train/ant/1.png", folder / "train/bee/again.png")
    shutil.copy(folder / "train/ant/1.png", folder / "val/ant/again.png")
    (folder / "train/bee/broken.png").write_bytes(b"")
    result = call(
        *("--mode=summary", "--dataset=folder", f"--data_dir={folder}"),
        *("--input_image_size=72", f"--model_dir={tmp_path}/run"),
    )
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert [line.split() for line in lines[lines.index("class (2)  train  val") + 2 :][:3]] == [
        ["ant", "2", "2"],
        ["bee", "3", "0"],
        ["total", "5", "2"],
    ]
    assert lines[lines.index("width: 70 to 73, median 71") :][:-2] == [
        "width: 70 to 73, median 71",
        "height: 90 to 90, median 90",
        "4 of 6 have a side below the network's 72 pixels",
        "formats: PNG 6",
        "warning: cannot be decoded: 1",
        f"  {folder}/train/bee/broken.png is empty",
        "warning: copies within train: 1",
        f"  {folder}/train/bee/again.png is {folder}/train/ant/1.png",
        "warning: in two classes: 1",
        f"  {folder}/train/bee/again.png is {folder}/train/ant/1.png",
        "warning: 1 of 2 pictures to evaluate are trained on too, so the accuracy flatters: "
        f"{folder}/val/ant/again.png is {folder}/train/ant/1.png",
    ]
    with open(tmp_path / "run" / "pictures.csv", newline="") as file:
        rows = {row["file"].removeprefix(f"{folder}/"): row for row in csv.DictReader(file)}
    assert len(rows) == 7 and rows["val/ant/3.png"]["width"] == "73"
    assert rows["val/ant/again.png"]["copy_of"] == f"{folder}/train/ant/1.png"
    assert (tmp_path / "run" / "augmentation.png").exists()


def test_explanations_lie_beside_each_other_and_replace_nothing(run, pictures, tmp_path):
    twin = tmp_path / "more" / "a.jpg"
    twin.parent.mkdir()
    shutil.copytree(pictures, tmp_path / "pictures")
    Image.fromarray(np.full([50, 60, 3], 200, "uint8")).save(twin)
    files = [tmp_path / "pictures" / name for name in ("a.jpg", "broken.jpg", "grey.png")]
    flags = ("--mode=predict", f"--model_dir={run}", f"--explain={tmp_path}/out")
    result = call(*flags, f"--output_json={tmp_path}/p.json", *files, twin)
    assert result.stderr == "error: 1 of 4 files could not be read\n"
    written = {path.relative_to(tmp_path / "out") for path in tmp_path.glob("out/*/*")}
    assert set(map(str, written)) == {
        "pictures/a.jpg.png",
        "pictures/grey.png.png",
        "more/a.jpg.png",
    }
    # The picture as the network saw it is on the left.
    seen = data.read_picture(str(files[0]), 32, "bicubic").clip(0, 255).astype("uint8")
    drawn = np.asarray(Image.open(tmp_path / "out" / "pictures" / "a.jpg.png"))
    factor = 2
    np.testing.assert_array_equal(drawn[: 32 * factor : factor, : 32 * factor : factor], seen)
    results = json.loads((tmp_path / "p.json").read_text())
    assert results[3]["explanation"] == f"{tmp_path}/out/more/a.jpg.png"
    assert "explanation" not in results[1]
    again = call(*flags, twin, files[0])
    assert again.returncode == 1 and "is there already" in again.stderr
    (tmp_path / "file").write_text("")
    result = call(*flags[:2], f"--explain={tmp_path}/file", twin)
    assert result.stderr == f"error: --explain={tmp_path}/file is a file; name a folder\n"


def test_convert_a_run_to_keras_and_to_a_tf1_checkpoint(run, tmp_path):
    """Both hold the averaged weights, the network is the run's own."""
    config = network_of(run)
    model = build_network(config, input_shape=(32, 32, 3))
    load_weights(model, str(run))
    image = np.random.RandomState(0).uniform(0, 255, [2, 32, 32, 3]).astype("float32")
    for name in ("tiny.keras", "tiny.ckpt"):
        result = call("--mode=convert", f"--init_checkpoint={run}", tmp_path / name)
        assert result.returncode == 0, result.stderr
        assert f"{name}: efficientnet-b0, 10 classes" in result.stdout
        again = build_network(config, input_shape=(32, 32, 3))
        load_weights(again, str(tmp_path / name))
        np.testing.assert_array_equal(again(image), model(image))


def test_fine_tuning_keeps_what_is_frozen(run, tmp_path):
    """From the run's weights, all but the classifier frozen: only the classifier has changed."""
    result = call(
        *TINY,
        *(f"--model_dir={tmp_path}", f"--init_checkpoint={run}", "--mode=train"),
        *("--train_steps=2", "--freeze=all", "--freeze_bn", "--lr_warmup_epochs=0"),
    )
    assert result.returncode == 0, result.stderr
    assert "variables loaded from" in result.stdout
    models = [build_network(network_of(folder)) for folder in (run, tmp_path)]
    load_weights(models[0], str(run))
    load_weights(models[1], str(tmp_path), ema=False)
    changed = {
        before.path.split("/")[0]
        for before, after in zip(models[0].weights, models[1].weights, strict=True)
        if not np.array_equal(before.numpy(), after.numpy())
    }
    assert changed == {"predictions"}


def test_export_holds_the_averaged_weights(run):
    model = build_network(network_of(run), input_shape=(32, 32, 3), classifier_activation=None)
    load_weights(model, str(run))
    image = np.random.RandomState(0).uniform(0, 255, [2, 32, 32, 3]).astype("float32")
    exported = tf.saved_model.load(str(run / "export" / "saved_model"))
    found = exported.signatures["images"](images=tf.constant(image))["probabilities"]
    np.testing.assert_allclose(found, tf.nn.softmax(model(image)), atol=1e-6)


def test_the_flags_of_a_run_do_not_repeat_what_was_asked_for_once(run):
    """Mode and export directory: `--mode=eval --flagfile=flags.txt` is to evaluate."""
    text = (run / "flags.txt").read_text()
    assert "# --mode=train" in text and "# --export_dir" in text
    result = call("--mode=eval", f"--flagfile={run / 'flags.txt'}")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout.splitlines()[-1])["num_images"] == 360


def test_an_evaluation_that_never_came_is_made_up_for(run):
    """Killed between save and evaluation, or its record lost: the same command evaluates."""
    (run / "eval.jsonl").unlink(missing_ok=True)
    result = call(f"--flagfile={run / 'flags.txt'}")
    assert result.returncode == 0, result.stderr
    assert json.loads((run / "eval.jsonl").read_text())["step"] == 2


def test_pictures_in_0_to_1_are_warned_of(run, tmp_path):
    Image.fromarray(np.ones([40, 40, 3], "uint8")).save(tmp_path / "dark.png")
    result = call("--mode=predict", f"--model_dir={run}", tmp_path / "dark.png")
    assert result.stderr == "warning: no pixel is above 1; the network expects RGB in 0..255\n"
