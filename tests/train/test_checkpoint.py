"""A run that stops and starts again is the run that did not; damage costs one checkpoint."""

import pytest
import tensorflow as tf
from helpers.toy import one_device, toy_loop, toy_step

from efficientnet_tf.config import UserError
from efficientnet_tf.train.checkpoint import CheckpointSaver
from efficientnet_tf.weights.formats.run_checkpoint import list_checkpoints, open_run
from efficientnet_tf.weights.loading import load_opened

pytestmark = pytest.mark.slow


def checkpoints(directory, step):
    return CheckpointSaver(str(directory), step.model, step.optimizer, step.ema, max_to_keep=3)


def run(step, start, steps):
    return [row["loss"] for row in toy_loop(one_device(), step, start_step=start).run(steps)]


@pytest.fixture(scope="module")
def half_run(tmp_path_factory):
    """A folder with the checkpoints of steps 1 and 2, and the losses of steps 3 and 4."""
    directory = tmp_path_factory.mktemp("run")
    step = toy_step(one_device())
    saved = checkpoints(directory, step)
    for number in (1, 2):
        run(step, number - 1, 1)
        saved.save(number)
    return directory, run(step, 2, 2)


def copy(directory, target):
    for path in directory.iterdir():
        (target / path.name).write_bytes(path.read_bytes())


def test_restart_continues_exactly(half_run, tmp_path):
    """Dropout, stochastic depth and data order included, to the last bit."""
    directory, losses = half_run
    copy(directory, tmp_path)
    step = toy_step(one_device(), seed=0)
    assert checkpoints(tmp_path, step).restore_latest() == 2
    assert run(step, 2, 2) == losses


@pytest.mark.fault(
    "Files of a run",
    "TensorFlow's checkpoint file is lost or empty",
    "goes on from the newest checkpoint",
)
def test_lost_checkpoint_file_is_no_new_start(half_run, tmp_path):
    copy(half_run[0], tmp_path)
    (tmp_path / "checkpoint").unlink()
    assert checkpoints(tmp_path, toy_step(one_device())).restore_latest() == 2
    (tmp_path / "checkpoint").write_text("")
    assert checkpoints(tmp_path, toy_step(one_device())).restore_latest() == 2


@pytest.mark.fault(
    "Files of a run",
    "the newest checkpoint is cut, damaged or half there",
    "passed over, said; the one before is taken",
)
def test_damaged_checkpoint_falls_back_to_the_one_before(half_run, tmp_path, capsys):
    copy(half_run[0], tmp_path)
    (data,) = tmp_path.glob("ckpt-2.data-*")
    data.write_bytes(data.read_bytes()[:1000])
    assert checkpoints(tmp_path, toy_step(one_device())).restore_latest() == 1
    assert "ckpt-2: unreadable" in capsys.readouterr().out


def test_old_checkpoints_are_deleted_even_after_a_lost_state_file(half_run, tmp_path):
    copy(half_run[0], tmp_path)
    (tmp_path / "checkpoint").unlink()
    saved = checkpoints(tmp_path, toy_step(one_device()))
    for number in (3, 4):
        saved.save(number)
    assert [path.rsplit("-", 1)[1] for path in list_checkpoints(str(tmp_path))] == ["4", "3", "2"]


@pytest.mark.fault(
    "Files of a run",
    "the folder is of another network",
    "refused; says what differs",
)
def test_checkpoint_of_another_network_is_refused(half_run, tmp_path):
    copy(half_run[0], tmp_path)
    wider = toy_step(one_device(), width_coefficient=0.5)
    with pytest.raises(UserError, match=r"of another shape: model/blocks_0/.* and \d+ more;"):
        checkpoints(tmp_path, wider).restore_latest()


@pytest.mark.fault(
    "Files of a run",
    "the checkpoint is of another optimizer",
    "refused; says what differs",
)
def test_checkpoint_of_another_recipe_is_refused(half_run, tmp_path):
    copy(half_run[0], tmp_path)
    step = toy_step(one_device())
    other = CheckpointSaver(str(tmp_path), step.model, step.optimizer, None, max_to_keep=3)
    with pytest.raises(UserError, match=r"\d+ not in this run: ema/blocks_0/"):
        other.restore_latest()


def load_from(model, prefix, ema=True):
    weights = open_run(prefix, ema)
    load_opened(model, weights)
    return weights.kind


def test_evaluation_loads_the_average(half_run, tmp_path):
    prefix = list_checkpoints(str(half_run[0]))[0]
    step, other = toy_step(one_device()), toy_step(one_device(), seed=5)
    checkpoints(half_run[0], step).restore_latest()
    assert load_from(other.model, prefix) == "ema"
    for weight, shadow in zip(other.model.weights, step.ema.shadows, strict=True):
        tf.debugging.assert_equal(weight.value, shadow)
    assert load_from(other.model, prefix, ema=False) == "raw"
    for weight, expected in zip(other.model.weights, step.model.weights, strict=True):
        tf.debugging.assert_equal(weight.value, expected.value)
