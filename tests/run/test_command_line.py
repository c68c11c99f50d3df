"""The command line from flags to files, output and exit code."""

import importlib
import json
import signal
import subprocess
import time

import pytest
import tensorflow as tf
from helpers.command import TINY, call, command, last_result, main

from efficientnet_tf.run import modes
from efficientnet_tf.run.flag_topics.task import MODES
from efficientnet_tf.run.modes import summary

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder in which a tiny network was trained for four steps."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    result = main(*TINY, f"--model_dir={folder}", "--train_steps=4")
    assert result.returncode == 0, result.stderr
    return folder, result


def test_training_leaves_its_results(run):
    folder, result = run
    lines = [json.loads(line) for line in (folder / "eval.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4]
    assert all(line["num_images"] == 360 and line["weights"] == "ema" for line in lines)
    assert json.loads(result.stdout.splitlines()[-1]) == lines[-1]
    best = json.loads((folder / "archive" / "best.json").read_text())
    assert best["top_1_accuracy"] == max(line["top_1_accuracy"] for line in lines)
    assert (folder / "archive" / f"{best['checkpoint']}.index").exists()
    assert json.loads((folder / "model_params.txt").read_text())["width_coefficient"] == 0.25
    assert "--train_batch_size=16" in (folder / "flags.txt").read_text()
    assert json.loads((folder / "labels.json").read_text()) == [str(i) for i in range(10)]
    assert list((folder / "train").glob("events*")) and list((folder / "eval").glob("events*"))
    assert f"tensorboard --logdir {folder}" in result.stdout


def test_output_is_quiet_lines_off_a_terminal(run):
    _, result = run
    assert "\r" not in result.stdout and "\x08" not in result.stdout
    assert result.stderr == ""


def test_tensorboard_has_every_curve(run):
    from tensorflow.python.summary.summary_iterator import summary_iterator

    folder, _ = run
    tags = {}
    for part in ("train", "eval"):
        (path,) = (folder / part).glob("events*")
        events = summary_iterator(str(path))
        tags[part] = {value.tag for event in events for value in event.summary.value}
    shared = {
        "accuracy/top_1",
        "accuracy/top_5",
        "loss/cross_entropy",
        "run/images_per_second",
    }
    assert tags["eval"] == shared | {
        "evaluation/confusion_matrix",
        "evaluation/worst_pictures",
        "_hparams_/session_start_info",
    }
    assert tags["train"] == shared | {
        "loss/loss",
        "loss/regularization",
        "optimizer/learning_rate",
        "optimizer/ema_decay",
        "optimizer/gradient_norm",
        "run/epoch",
        "run/input_wait",
        "flags",
        "first_batch",
    }


def test_restart_continues_then_evaluates(run):
    folder, _ = run
    # The flags a run wrote down start it again.
    again = call(f"--flagfile={folder / 'flags.txt'}", "--train_steps=6")
    assert again.returncode == 0, again.stderr
    assert "from step 4" in again.stdout
    evaluation = call(*TINY, f"--model_dir={folder}", "--mode=eval", "--train_steps=6")
    assert evaluation.returncode == 0, evaluation.stderr
    trained, evaluated = (last_result(r) for r in (again, evaluation))
    assert trained["step"] == 6
    assert evaluated == pytest.approx(trained, rel=1e-5)
    alone = call(*TINY, f"--init_checkpoint={folder}", "--mode=eval")
    best = json.loads((folder / "archive" / "best.json").read_text())
    expected = {
        name: value for name, value in best.items() if name not in ("weights", "checkpoint")
    }
    assert last_result(alone) == pytest.approx(expected, rel=1e-5)


def test_folder_of_another_model_is_left_alone(run):
    folder, _ = run
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}
    result = call(*TINY, f"--model_dir={folder}", "--width_coefficient=0.5", "--train_steps=8")
    assert result.returncode == 1
    assert "belongs to another model: width_coefficient is 0.25" in result.stderr
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()} == before


@pytest.mark.fault(
    "Killed and stopped",
    "a machine that is taken away (SIGTERM)",
    "status 42, saved; the next start goes on",
)
def test_termination_saves_and_the_run_goes_on(tmp_path):
    arguments = [*TINY, f"--model_dir={tmp_path}", "--mode=train", "--steps_per_eval=100000"]
    process = subprocess.Popen(
        command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    for line in process.stdout:
        if line.startswith("train step"):
            break
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 42
    assert "stopped at step" in errors, errors
    step = int(errors.split("stopped at step ")[1].split(",")[0])
    again = main(*arguments, f"--train_steps={step + 2}")
    assert again.returncode == 0, again.stderr
    assert f"from step {step}" in again.stdout


BAD = {
    "unknown model": (["--model_name=efficientnet-b9"], "did you mean efficientnet-b"),
    "unknown mode": (["--mode=trian"], "did you mean train"),
    "unknown dataset": (["--dataset=digit"], "digits"),
    "unknown flag": (["--train_batch=3"], "train_batch_size"),
    "unknown optimizer": (["--dataset=digits", "--optimizer=rmsprob"], "rmsprop"),
    "small image": (["--input_image_size=31"], "--input_image_size=31 must be at least 32"),
    "bigtable": (["--bigtable_instance=x"], "Bigtable input is gone"),
    "no data": (["--dataset=tfrecord", "--data_dir=missing-folder"], "missing-folder"),
    "no tpu": (["--use_tpu", "--dataset=digits"], "no TPU answers"),
    "negative": (["--train_steps=-1"], "--train_steps=-1 must be positive"),
    "negative warm-up": (["--lr_warmup_epochs=-1"], "--lr_warmup_epochs=-1.0 must be at least 0"),
    "no dropout left": (["--dropout_rate=1"], "--dropout_rate=1.0 must be less than 1"),
    "width": (["--width_coefficient=0"], "--width_coefficient=0.0 must be positive"),
    "no checkpoint": (
        ["--dataset=digits", "--mode=eval", "--model_dir=empty"],
        "has no checkpoint",
    ),
    "classes": (["--dataset=digits", "--num_label_classes=7"], "--num_label_classes=7"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_nothing_is_written(case, tmp_path, monkeypatch):
    arguments, words = BAD[case]
    monkeypatch.chdir(tmp_path)
    result = call(*arguments)
    assert result.returncode == 1
    lines = result.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: ") and words in lines[0], result.stderr
    assert not list(tmp_path.iterdir())


def test_an_error_ends_the_process_with_status_1_and_one_line(tmp_path):
    result = main("--model_name=efficientnet-b9", cwd=tmp_path)
    assert result.returncode == 1 and result.stdout == ""
    assert len(result.stderr.splitlines()) == 1 and "did you mean" in result.stderr


def test_every_mode_has_its_function():
    for mode in MODES:
        file, function = modes._MODES[mode]
        assert callable(getattr(importlib.import_module(f"{modes.__name__}.{file}"), function))
    assert set(MODES) == set(modes._MODES)


def test_flags_without_effect_say_so_once(tmp_path):
    result = main("--num_parallel_calls=8", "--model_name=nope", cwd=tmp_path)
    assert result.stderr.count("num_parallel_calls") == 0  # the error comes first
    result = main("--num_parallel_calls=8", "--use_tpu", cwd=tmp_path)
    assert result.stderr.count("--num_parallel_calls has no effect") == 1


@pytest.mark.parametrize("seconds", [1.5, 3.0])
@pytest.mark.fault(
    "Killed and stopped",
    "Ctrl-C while TensorFlow starts",
    "one line, status 130; nothing is written",
)
def test_an_interrupted_start_is_one_line(seconds, tmp_path):
    process = subprocess.Popen(
        command(*TINY, "--train_steps=1000", f"--model_dir={tmp_path / 'run'}"),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # A terminal's own; tests that run in the background are deaf to Ctrl-C, and so are theirs.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 130 and "Traceback" not in error
    assert error.splitlines()[-1] == "interrupted" and not (tmp_path / "run").exists()


@pytest.mark.parametrize("kind", ["ResourceExhausted", "Unavailable", "PermissionDenied"])
@pytest.mark.fault("Disk", "what else a file system or a device refuses at the start", "one line")
def test_what_tensorflow_is_refused_is_one_line(kind, monkeypatch):
    def refused(config):
        raise getattr(tf.errors, f"{kind}Error")(None, None, "no more of it\n\t[[node]]")

    monkeypatch.setattr(summary, "summary", refused)
    result = call("--mode=summary")
    assert (result.returncode, result.stderr) == (1, "error: no more of it\n")
