"""A disk that is full, or a limit that stands for it: one line, and what was saved is intact.

The system's limit on the size of a file fails a write where it stands, as a full disk does.
"""

import os
import resource
import subprocess

import pytest
from helpers.command import TINY, call, command

from efficientnet_tf.train.writing import write_reason
from efficientnet_tf.weights.formats.run_checkpoint import list_checkpoints

pytestmark = pytest.mark.slow
FLAGS = [*TINY, "--num_eval_images=56", "--mode=train", "--steps_per_eval=2"]


def limited(kilobytes, *arguments):
    """The command where no file may become longer; Python ignores the signal that comes with it."""

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (kilobytes << 10, kilobytes << 10))

    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
    return subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
        preexec_fn=limit,
    )


def steps(folder):
    return [int(prefix.rpartition("-")[2]) for prefix in list_checkpoints(str(folder))]


@pytest.mark.fault(
    "Disk",
    "no room for a checkpoint",
    "one line; the one before is intact, and the run goes on from it",
)
def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(tmp_path):
    run = [*FLAGS, f"--model_dir={tmp_path}"]
    assert call(*run, "--train_steps=2").returncode == 0
    before = {path: path.read_bytes() for path in tmp_path.glob("ckpt-2*")}
    result = limited(150, *run, "--train_steps=4")
    assert result.returncode == 1
    (error,) = result.stderr.splitlines()
    assert error.startswith(f"error: the checkpoint of step 4 in {tmp_path} cannot be written: ")
    assert error.endswith("that of step 2 is intact; see to room and permission, and start again")
    assert steps(tmp_path) == [2]
    assert {path: path.read_bytes() for path in tmp_path.glob("ckpt-2*")} == before
    again = call(*run, "--train_steps=4")
    assert again.returncode == 0 and "from step 2" in again.stdout
    assert not list(tmp_path.glob("*_temp")) and steps(tmp_path) == [4, 2]


@pytest.mark.fault(
    "Disk",
    "TensorBoard's folder cannot be written",
    "said once; training goes on",
)
def test_a_run_outlives_its_curves(tmp_path):
    """A device that is always full stands where TensorBoard's folder would be."""
    (tmp_path / "train").write_text("no folder")
    result = call(*FLAGS, f"--model_dir={tmp_path}", "--train_steps=4", "--mode=train_and_eval")
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("no more TensorBoard summaries") == 1
    assert steps(tmp_path) == [4, 2]


@pytest.mark.fault(
    "Disk",
    "the folder cannot be made",
    "one line",
)
def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    result = call(*FLAGS, f"--model_dir={tmp_path / 'file' / 'run'}", "--train_steps=2")
    assert result.returncode == 1
    (error,) = result.stderr.splitlines()
    assert "cannot be written: Not a directory; see to room" in error


def test_the_reason_is_the_systems():
    full = OSError(28, "No space left on device", "/x/y")
    assert write_reason(full) == "No space left on device"
    try:
        with open("/dev/full", "w") as file:
            file.write("x")
    except OSError as error:
        assert write_reason(error) == "No space left on device"
