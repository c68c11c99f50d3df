"""Flagfiles by path and by name, and the files that they include."""

from pathlib import Path

import pytest
from absl import flags

from efficientnet_tf.config import UserError
from efficientnet_tf.run.flagfiles import recipes, resolve_arguments

FLAGS_FOLDER = Path(__file__).parents[2] / "flags"
SPELLINGS = [
    ["--flagfile=imagenet-b1"],
    ["--flagfile=imagenet-b1.flags"],
    ["--flagfile=flags/imagenet-b1.flags"],
    ["-flagfile=imagenet-b1"],
    ["--flagfile", "imagenet-b1"],
    ["--flagfile= imagenet-b1 "],
    [f"--flagfile={FLAGS_FOLDER / 'imagenet-b1.flags'}"],
]


def write(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def by_absl(*arguments):
    """What absl makes of the same arguments."""
    return flags.FlagValues().read_flags_from_files(list(arguments))


@pytest.mark.parametrize("name", sorted(path.stem for path in FLAGS_FOLDER.glob("*.flags")))
def test_recipes_are_what_absl_reads_in_the_checkout(name, monkeypatch, tmp_path):
    monkeypatch.chdir(FLAGS_FOLDER.parent)
    expected = by_absl(f"--flagfile=flags/{name}.flags", "--seed=3")
    assert len(expected) > 5
    monkeypatch.chdir(tmp_path)
    assert resolve_arguments([f"--flagfile={name}", "--seed=3"]) == expected


@pytest.mark.parametrize("arguments", SPELLINGS, ids=" ".join)
def test_every_spelling_works_from_any_folder(arguments, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    resolved = resolve_arguments(["--seed=1", *arguments, "--seed=2"])
    assert resolved[:2] == ["--seed=1", "--model_name=efficientnet-b0"]
    assert resolved[-2:] == ["--model_name=efficientnet-b1", "--seed=2"]


def test_the_names_are_those_of_the_folder():
    assert set(recipes()) == {path.stem for path in FLAGS_FOLDER.glob("*.flags")}
    assert {"quickstart", "imagenet-b7-randaugment"} <= set(recipes())


def test_comments_blank_lines_and_spaces(tmp_path):
    path = write(
        tmp_path / "mine.flags", "# a", "// b", "", "  ", "--data_dir=a # b", "  # c", "  --seed=1 "
    )
    assert resolve_arguments([f"--flagfile={path}"]) == ["--data_dir=a # b", "--seed=1"]


def test_other_arguments_are_left_alone():
    arguments = ["a.jpg", "--seed", "3", "--flagfiles=x", "--", "--flagfile=nothing"]
    assert resolve_arguments(arguments) == arguments == by_absl(*arguments)


def test_a_file_here_comes_before_a_recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "quickstart", "--seed=1")
    assert resolve_arguments(["--flagfile=quickstart"]) == ["--seed=1"]
    (tmp_path / "imagenet-b0").mkdir()  # a run's folder of the recipe's name is no flagfile
    assert "--train_steps=218949" in resolve_arguments(["--flagfile=imagenet-b0"])


def test_an_included_file_is_found_beside_its_includer(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "mine" / "base.flags", "--seed=1", "--flagfile=parts/small.flags")
    write(tmp_path / "mine" / "parts" / "small.flags", "--flagfile tiny.flags", "--train_steps=2")
    write(tmp_path / "mine" / "parts" / "tiny.flags", "--num_classes=3")
    top = write(tmp_path / "mine" / "top.flags", "--flagfile=base.flags", "--seed=4")
    write(tmp_path / "base.flags", "--seed=5")  # of the current folder, and not meant
    expected = ["--seed=1", "--num_classes=3", "--train_steps=2", "--seed=4"]
    assert resolve_arguments([f"--flagfile={top}"]) == expected


def test_an_included_file_may_be_a_recipe_or_of_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "common.flags", "--seed=5")
    top = write(
        tmp_path / "mine" / "top.flags", "--flagfile=common.flags", "--flagfile=imagenet-b0"
    )
    resolved = resolve_arguments([f"--flagfile={top}"])
    assert resolved[:2] == ["--seed=5", "--model_name=efficientnet-b0"]


def test_a_changed_copy_of_the_recipes_includes_its_own_files(tmp_path, monkeypatch):
    """The recipes name each other `flags/NAME.flags`, from the folder above theirs."""
    copy = tmp_path / "copy" / "flags"
    write(copy / "imagenet-b1.flags", (FLAGS_FOLDER / "imagenet-b1.flags").read_text())
    write(copy / "imagenet-b0.flags", "--seed=7")
    monkeypatch.chdir(tmp_path)
    assert resolve_arguments([f"--flagfile={copy / 'imagenet-b1.flags'}"])[0] == "--seed=7"


def test_the_same_file_may_be_included_twice_but_not_by_itself(tmp_path):
    a, b = tmp_path / "a.flags", tmp_path / "b.flags"
    write(b, "--seed=1")
    write(a, "--flagfile=b.flags", "--flagfile=b.flags")
    assert resolve_arguments([f"--flagfile={a}"]) == ["--seed=1", "--seed=1"]
    write(b, "--flagfile=a.flags")
    with pytest.raises(UserError, match="a.flags includes b.flags includes a.flags"):
        resolve_arguments([f"--flagfile={a}"])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("quikstart", "--flagfile=quikstart: no such file; .*did you mean quickstart"),
        ("flags/imagenet-b9.flags", "--flagfile=flags/imagenet-b9.flags: .*did you mean imagenet-"),
        ("/elsewhere/quickstart.flags", "--flagfile=/elsewhere/quickstart.flags: no such file"),
        ("", "needs the path of a file or the name of a recipe"),
    ],
)
def test_an_unknown_name_lists_the_nearest(name, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=words):
        resolve_arguments([f"--flagfile={name}"])
    top = write(tmp_path / "top.flags", f"--flagfile={name}")
    with pytest.raises(UserError, match=words):
        resolve_arguments([f"--flagfile={top}"])


def test_other_errors_are_one_line_too(tmp_path):
    with pytest.raises(UserError, match="needs the path of a file"):
        resolve_arguments(["--flagfile"])
    path = tmp_path / "picture.flags"
    path.write_bytes(b"\x89PNG\xff")
    with pytest.raises(UserError, match="picture.flags is not a text file"):
        resolve_arguments([f"--flagfile={path}"])
