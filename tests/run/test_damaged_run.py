"""Small files of a run that a full disk, a lost machine or a hand has damaged."""

import json
import shutil

import pytest
from helpers.command import TINY, call

pytestmark = pytest.mark.slow
FLAGS = [*TINY, "--num_eval_images=56"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    train(folder, 4)
    return folder


@pytest.fixture
def run(trained, tmp_path):
    """A copy of a run of four steps, evaluated after two of them and after four."""
    return shutil.copytree(trained, tmp_path / "run")


def train(folder, steps):
    result = call(*FLAGS, f"--model_dir={folder}", f"--train_steps={steps}")
    assert result.returncode == 0, result.stderr
    return result


def lines(folder):
    return (folder / "eval.jsonl").read_bytes().splitlines()


@pytest.mark.parametrize("tail", [b'{"step": 6, "top_1', b"\xff\x00garbage\n", b"[1]\n"])
@pytest.mark.fault(
    "Files of a run",
    "eval.jsonl with a torn or garbage line",
    "left out, said",
)
def test_a_torn_line_of_results_is_left_out_and_said(run, tail):
    with open(run / "eval.jsonl", "ab") as file:
        file.write(tail)
    result = train(run, 6)
    assert "eval.jsonl: 1 damaged lines left out" in result.stderr
    *_, torn, last = lines(run)
    assert torn == tail.strip() and json.loads(last)["step"] == 6
    assert "from step 4" in result.stdout


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"step": 2}'])
@pytest.mark.fault(
    "Files of a run",
    "archive/best.json empty, cut or of another form",
    "taken from eval.jsonl, said",
)
def test_a_damaged_note_of_the_best_is_taken_from_the_results(run, content):
    best = json.loads((run / "archive" / "best.json").read_text())
    (run / "archive" / "best.json").write_text(content)
    result = call("--mode=eval", *FLAGS, f"--init_checkpoint={run}")
    assert result.returncode == 0 and f"step {best['step']}: top-1" in result.stdout, result.stdout
    result = train(run, 6)
    assert "best.json is damaged: taken from eval.jsonl" in result.stderr
    found = json.loads((run / "archive" / "best.json").read_text())
    now = json.loads(lines(run)[-1])
    expected = now if now["top_1_accuracy"] > best["top_1_accuracy"] else best
    assert found["step"] == expected["step"]
    assert (run / "archive" / f"{found['checkpoint']}.index").exists()


@pytest.mark.fault(
    "Files of a run",
    "the same and eval.jsonl gone",
    "the best begins anew, said",
)
def test_without_results_either_the_best_begins_anew(run):
    (run / "archive" / "best.json").write_text("")
    (run / "eval.jsonl").unlink()
    result = train(run, 6)
    assert "best.json is damaged: it begins anew" in result.stderr
    assert json.loads((run / "archive" / "best.json").read_text())["step"] in (4, 6)


@pytest.mark.fault(
    "Files of a run",
    "a checkpoint copied to the name of another step",
    "passed over, said",
)
def test_a_checkpoint_under_another_name_is_not_gone_on_from(run):
    for path in run.glob("ckpt-2.*"):
        shutil.copy(path, str(path).replace("ckpt-2", "ckpt-50"))
    result = train(run, 6)
    assert "ckpt-50 is of step 2; trying the one before" in result.stdout
    assert "from step 4" in result.stdout


@pytest.mark.fault(
    "Files of a run",
    "ckpt-N_temp of a save that was killed",
    "removed at the next start",
)
def test_what_a_killed_save_left_is_removed(run):
    left = run / "ckpt-6_temp"
    left.mkdir()
    (left / "part-00000-of-00001.data-00000-of-00001").write_bytes(b"half")
    train(run, 6)
    assert not left.exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("labels.json", ""),
        ("labels.json", "[1]"),
        ("model_params.txt", "[1]"),
        ("model_params.txt", ""),
        ("data_order.txt", "two"),
    ],
)
@pytest.mark.fault(
    "Files of a run",
    "labels.json, model_params.txt or data_order.txt damaged",
    "one line; nothing is written",
)
def test_what_a_run_cannot_do_without_is_one_line(run, name, content):
    (run / name).write_text(content)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    result = call(*FLAGS, f"--model_dir={run}", "--train_steps=6")
    assert result.returncode == 1
    (error,) = result.stderr.splitlines()
    assert f"{name} is damaged" in error
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
