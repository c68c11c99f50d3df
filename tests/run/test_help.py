"""What the command prints and how it ends, in this process; TensorFlow does not start."""

import os
import subprocess
import sys

import pytest
from helpers.command import ROOT

from efficientnet_tf.config import UserError
from efficientnet_tf.run import command_line
from efficientnet_tf.run.flag_help import full_help, requested_help, short_help
from efficientnet_tf.run.flag_table import ALL_FLAGS, TOPICS


@pytest.fixture
def started(monkeypatch):
    """The runs that the command would start."""
    configs = []
    monkeypatch.setattr(command_line, "execute", configs.append)
    return configs


def status_of(*arguments):
    with pytest.raises(SystemExit) as caught:
        command_line.console(["efficientnet-tf", *arguments])
    return caught.value.code or 0


def test_short_help_is_about_a_screen():
    lines = short_help().splitlines()
    assert len(lines) <= 60 and max(map(len, lines)) <= 100
    assert sum(line.startswith("  efficientnet-tf ") for line in lines) == 2


def test_short_help_has_the_flags_that_people_use():
    words = short_help().split()
    everyday = {f"--{name}" for name, row in ALL_FLAGS.items() if row.everyday}
    assert everyday <= set(words)
    assert {"--model_name", "--data_dir", "--train_steps", "--model_dir"} <= everyday
    assert "--bigtable_table" not in words and "--num_parallel_calls" not in words


def test_full_help_has_every_flag_under_its_topic():
    text = full_help()
    assert max(map(len, text.splitlines())) <= 100
    ends = [*(text.index(f"\n{topic}\n") for topic in TOPICS), len(text)]
    assert ends == sorted(ends)
    for rows, start, end in zip(TOPICS.values(), ends[:-1], ends[1:], strict=True):
        assert all(f"\n  --{row.name} " in text[start:end] for row in rows)


def help_of(name):
    """A flag's part of the full help, on one line."""
    after = full_help().split(f"\n  --{name} ")[1]
    return " ".join(after.split("\n  --")[0].split("\n\n")[0].split())


def test_defaults_in_the_help_are_those_that_hold():
    assert help_of("train_batch_size").endswith("[2048]")
    assert help_of("archive_ckpt").endswith("[on]") and help_of("use_cache").endswith("[off]")
    for name in ("num_train_images", "num_eval_images", "num_label_classes"):
        assert help_of(name).endswith("[the data's own]")
    for name in ("dropout_rate", "input_image_size", "resize_method", "depth_coefficient"):
        assert help_of(name).endswith("[the network's own]")
    assert help_of("model_name").endswith("[the weights' own, else efficientnet-b0]")
    assert "exponential, cosine, constant or polynomial" in help_of("lr_schedule")


@pytest.mark.parametrize("argument", ["--help", "-h", "-?", "--helpshort"])
def test_help_is_printed_and_nothing_runs(argument, started, capsys):
    assert status_of("--dataset=digits", argument) == 0
    assert capsys.readouterr().out == short_help() + "\n" and not started
    assert status_of("--helpfull") == 0
    assert capsys.readouterr().out == full_help() + "\n"


def test_nothing_asked_for_is_the_help(started, capsys):
    assert status_of() == 0
    assert capsys.readouterr().out == short_help() + "\n" and not started


def test_help_after_a_double_dash_is_an_argument():
    assert requested_help(["--mode=predict", "--", "--help"]) is None


def test_a_run_is_started_with_its_flags(started, capsys):
    assert status_of("--dataset=synthetic", "--train_steps=7") == 0
    (config,) = started
    assert config.data.dataset == "synthetic" and config.train.train_steps == 7
    assert capsys.readouterr().err == ""


def test_flags_of_one_run_are_not_those_of_the_next(started):
    assert status_of("--dataset=digits", "--train_steps=7") == status_of("--dataset=digits") == 0
    assert [config.train.train_steps for config in started] == [7, 218949]


def test_assumptions_are_notes(started, capsys):
    assert status_of("--mode=train", "--num_replicas=8") == 0
    lines = capsys.readouterr().err.splitlines()
    assert len(started) == 1 and len(lines) == 2
    assert all(line.startswith("note: ") for line in lines)


@pytest.mark.parametrize("argument", ["--lr=3", "--seed=x", "--seed=-1", "--model_name=b0", "word"])
def test_bad_flags_are_one_line_and_nothing_starts(argument, started, capsys):
    assert status_of(argument) == 1
    output = capsys.readouterr()
    assert not started and output.out == ""
    assert output.err.startswith("error: ") and output.err.count("\n") == 1


@pytest.mark.parametrize("error", [UserError("no such run"), PermissionError(13, "denied", "x")])
def test_errors_of_a_run_are_one_line(error, monkeypatch, capsys):
    def fail(config):
        raise error

    monkeypatch.setattr(command_line, "execute", fail)
    assert status_of("--dataset=digits") == 1
    assert capsys.readouterr().err == f"error: {error}\n"


def test_messages_of_the_start_are_shown_only_if_it_fails(capfd):
    with command_line._quiet_start():
        os.write(2, b"a rebuild would use AVX2\n")
    assert capfd.readouterr().err == ""
    with pytest.raises(ImportError), command_line._quiet_start():
        os.write(2, b"no such library\n")
        raise ImportError
    assert capfd.readouterr().err == "no such library\n"


def test_help_loads_neither_keras_nor_tensorflow():
    code = (
        "import atexit, sys; from efficientnet_tf.run.command_line import console; "
        "atexit.register(lambda: print({'tensorflow', 'keras'} & set(sys.modules))); "
        "console(['efficientnet-tf', '--helpfull'])"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0 and result.stdout.splitlines()[-1] == "set()", result.stderr
