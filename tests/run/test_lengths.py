"""How long a run is: in steps or epochs, ended early, and which of its checkpoints is used."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.toy import tiny_run
from PIL import Image

import efficientnet_tf as en
from efficientnet_tf.config import DataConfig, RunConfig, TrainConfig, UserError
from efficientnet_tf.run import modes
from efficientnet_tf.run.fit import fit
from efficientnet_tf.run.folder import RunFolder
from efficientnet_tf.run.lengths import in_steps
from efficientnet_tf.run.results import (
    append_result,
    archive_if_best,
    evaluations_since_best,
)
from efficientnet_tf.train.evaluator import Evaluation, Evaluator
from efficientnet_tf.weights.formats.run_checkpoint import open_run

DATA = DataConfig(train_batch_size=32)


def lengths(images, **said):
    train = in_steps(TrainConfig(**said), DATA, images)
    return train.train_steps, train.steps_per_eval


def test_epochs_are_passes_over_the_training_images():
    assert lengths(218, train_epochs=20, eval_every_epochs=1) == (136, 7)
    assert lengths(60_000, train_epochs=0.5) == (938, 6255)
    assert lengths(3, train_epochs=1, eval_every_epochs=1) == (1, 1)
    assert lengths(218, eval_every_epochs=2) == (218949, 14)
    assert lengths(None) == (218949, 6255)
    with pytest.raises(UserError, match="--train_epochs=3 .* --num_train_images"):
        lengths(None, train_epochs=3)


def test_a_length_is_said_once():
    with pytest.raises(UserError, match="--train_epochs=3 and --train_steps=9 are both given"):
        TrainConfig(train_epochs=3, train_steps=9)
    with pytest.raises(UserError, match="--eval_every_epochs=1 and --steps_per_eval=9 are both"):
        TrainConfig(eval_every_epochs=1, steps_per_eval=9)


@pytest.fixture
def scores(monkeypatch):
    """Evaluations come out as this list says; fills with what is left."""
    left = []

    def evaluate(self):
        return Evaluation(left.pop(0), 1.0, 0.5, 360, 100.0)

    monkeypatch.setattr(Evaluator, "evaluate", evaluate)
    return left


@pytest.mark.slow
def test_a_run_ends_without_a_new_best_and_stays_ended(tmp_path, scores, capsys):
    config = tiny_run(tmp_path, train_steps=20, early_stopping_evals=2)
    config = dataclasses.replace(config, train=dataclasses.replace(config.train, steps_per_eval=2))
    scores += [0.5, 0.7, 0.6, 0.7, 0.9]
    done = fit(config, verbose=True)
    assert [e["step"] for e in done.evaluations] == [2, 4, 6, 8] and scores == [0.9]
    assert "no new best in 2 evaluations" in capsys.readouterr().out
    assert fit(config).evaluations == [] and scores == [0.9]
    longer = dataclasses.replace(config.train, early_stopping_evals=3)
    done = fit(dataclasses.replace(config, train=dataclasses.replace(longer, train_steps=10)))
    assert [e["step"] for e in done.evaluations] == [10]


@pytest.mark.slow
def test_the_best_checkpoint_is_taken_wherever_a_run_is_named(tmp_path, scores, caplog):
    run, export = tmp_path / "run", tmp_path / "export"
    config = tiny_run(run, train_steps=6)
    train = dataclasses.replace(config.train, steps_per_eval=2)
    scores += [0.5, 0.7, 0.6]
    done = fit(dataclasses.replace(config, train=train, export_dir=str(export)))
    assert [e["step"] for e in done.evaluations] == [2, 4, 6]
    best = en.build_model("efficientnet-b0", weights=f"{run}/archive", classifier_activation=None)
    newest = en.build_model("efficientnet-b0", weights=f"{run}/ckpt-6", classifier_activation=None)
    images = np.random.RandomState(0).uniform(0, 255, [2, 32, 32, 3]).astype("float32")
    expected = best(images).numpy()
    assert np.abs(newest(images).numpy() - expected).max() > 1e-4
    assert open_run(f"{run}/archive/ckpt-4").step == en.open_weights(run).step == 4
    assert f"{run}: its best checkpoint is taken, step 4 of 6" in caplog.text
    np.testing.assert_allclose(done.model(images), expected, atol=1e-6)
    exported = tf.saved_model.load(str(export / "saved_model"))
    found = exported.signatures["images"](images=tf.constant(images))["probabilities"]
    np.testing.assert_allclose(found, keras.ops.softmax(expected), atol=1e-5)
    en.convert(None, run, tmp_path / "b0.keras")
    kept = en.build_model(
        "efficientnet-b0", weights=tmp_path / "b0.keras", classifier_activation=None
    )
    np.testing.assert_allclose(kept(images), expected, atol=1e-6)


@pytest.mark.slow
def test_predict_takes_the_best_checkpoint_and_eval_the_newest(tmp_path, scores, capsys):
    run = tmp_path / "run"
    config = tiny_run(run, train_steps=4)
    scores += [0.7, 0.6]
    train = dataclasses.replace(config.train, steps_per_eval=2)
    fit(dataclasses.replace(config, train=train))
    picture = tmp_path / "a.png"
    Image.new("RGB", (40, 40), "red").save(picture)
    results = {}
    for source in (run, run / "archive", run / "ckpt-4"):
        output = tmp_path / "predictions.json"
        where = {"model_dir": str(run)} if source == run else {"init_checkpoint": str(source)}
        modes.execute(
            RunConfig(
                "predict",
                train=TrainConfig(**where),
                arguments=(str(picture),),
                output_json=str(output),
            )
        )
        results[source.name] = json.loads(output.read_text())[0]["predictions"]
    assert results["run"] == results["archive"] != results["ckpt-4"]
    capsys.readouterr()
    scores.append(0.1)
    modes.execute(RunConfig("eval", data=config.data, train=TrainConfig(model_dir=str(run))))
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["step"] == 4


def test_evaluations_since_the_best(tmp_path):
    folder = RunFolder(str(tmp_path))
    assert evaluations_since_best(folder) == 0
    lines = [(2, 0.5), (4, 0.1), (4, 0.9), (6, 0.9), (8, 0.1)]  # 4 was evaluated twice
    text = "\n".join(json.dumps({"step": s, "top_1_accuracy": a}) for s, a in lines)
    (tmp_path / "eval.jsonl").write_text(text)
    assert evaluations_since_best(folder) == 2


def test_a_result_that_is_no_number_is_null_and_never_the_best(tmp_path):
    folder = RunFolder(str(tmp_path))
    for step, score in ((2, 0.5), (4, float("nan")), (6, 0.4)):
        append_result(folder, {"step": step, "mean_average_precision": score})
    lines = (tmp_path / "eval.jsonl").read_text().splitlines()
    assert json.loads(lines[1], parse_constant=pytest.fail)["mean_average_precision"] is None
    assert evaluations_since_best(folder) == 2
    ruined = {"step": 8, "top_1_accuracy": 0.9, "loss": float("nan")}
    assert not archive_if_best(folder, f"{tmp_path}/ckpt-8", ruined)
