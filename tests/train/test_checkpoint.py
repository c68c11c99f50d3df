"""A run that stops and starts again is the run that did not; damage costs one checkpoint."""

import threading

import pytest
import tensorflow as tf
from helpers.toy import one_device, toy_loop, toy_step

from efficientnet_tf.config import UserError
from efficientnet_tf.train.background_copy import BackgroundCopy
from efficientnet_tf.train.checkpoint import CheckpointSaver, Keeping
from efficientnet_tf.weights.formats.run_checkpoint import list_checkpoints, open_run
from efficientnet_tf.weights.loading import load_opened

pytestmark = pytest.mark.slow


def checkpoints(directory, step):
    return CheckpointSaver(str(directory), step.model, step.optimizer, step.ema, Keeping(3))


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
    other = CheckpointSaver(str(tmp_path), step.model, step.optimizer, None, Keeping(3))
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


def files(directory):
    return {path.name: path.read_bytes() for path in directory.glob("ckpt-*.data*")}


def test_in_the_background_the_same_is_written(half_run, tmp_path):
    step = toy_step(one_device())
    options = {"keeping": Keeping(3), "in_background": True}
    saver = CheckpointSaver(str(tmp_path), step.model, step.optimizer, step.ema, **options)
    for number in (1, 2):
        run(step, number - 1, 1)
        saver.save(number)
    run(step, 2, 2)  # while the copy of step 2 is written
    saver.wait()
    assert files(tmp_path) == files(half_run[0])
    other = toy_step(one_device(), seed=0)
    assert checkpoints(tmp_path, other).restore_latest() == 2
    assert run(other, 2, 2) == half_run[1]


@pytest.mark.fault(
    "Disk",
    "no room for a checkpoint that is written in the background",
    "the run ends with its line at the next save, or at the end",
)
def test_what_fails_in_the_background_is_told_at_the_next_save(tmp_path, monkeypatch):
    step = toy_step(one_device())
    options = {"keeping": Keeping(3), "in_background": True}
    saver = CheckpointSaver(str(tmp_path), step.model, step.optimizer, step.ema, **options)
    saver.save(0)
    saver.wait()

    def full(**_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(saver._manager, "save", full)
    saver.save(1)
    with pytest.raises(UserError, match="step 1 .* No space left on device; that of step 0 is int"):
        saver.save(2)
    saver.wait()  # told once


def test_one_write_at_a_time_and_the_copy_is_of_its_moment(tmp_path):
    variable, seen = tf.Variable(1.0), []
    copy = BackgroundCopy({"part": {"name": variable}})
    first, second, writing = threading.Event(), threading.Event(), []
    gates = iter((first, second))

    def write():
        writing.append(1)
        next(gates).wait(100)
        seen.append(float(next(iter(copy._copy["part"].values()))))
        writing.pop()

    copy.run(write)
    variable.assign(2.0)
    threading.Timer(0.2, first.set).start()
    copy.run(write)  # waits for the first
    assert seen == [1.0]
    second.set()
    copy.wait()
    assert seen == [1.0, 2.0] and not writing


@pytest.mark.parametrize(
    ("newest", "every", "kept"),
    [
        (2, None, [90, 100]),
        (1, 25, [30, 50, 80, 100]),
        (2, 40.0, [40, 80, 90, 100]),
        (3, 1000, [80, 90, 100]),
    ],
)
def test_which_checkpoints_stay(newest, every, kept):
    """Asked at the end, or after each save as a run does: the same stay."""
    keeping, steps = Keeping(newest, every), list(range(10, 101, 10))
    assert sorted(set(steps) - set(keeping.superfluous(steps))) == kept
    there = []
    for step in steps:
        there.append(step)
        there = [s for s in there if s not in keeping.superfluous(there)]
    assert there == kept


def test_milestones_stay_in_the_folder_and_tensorflow_knows_what_is_there(tmp_path):
    step = toy_step(one_device())
    saver = CheckpointSaver(str(tmp_path), step.model, step.optimizer, step.ema, Keeping(1, 4))
    for number in range(1, 8):
        saver.save(number)
    assert [p[-1] for p in list_checkpoints(str(tmp_path))] == ["7", "4"]
    state = tf.train.get_checkpoint_state(str(tmp_path))
    assert [p.rpartition("/")[2] for p in state.all_model_checkpoint_paths] == ["ckpt-4", "ckpt-7"]
    assert tf.train.latest_checkpoint(str(tmp_path)) == str(tmp_path / "ckpt-7")


@pytest.mark.fault(
    "Files of a run",
    "a checkpoint has lost its .index file",
    "said; the one before is taken, and without one the run does not begin anew",
)
def test_a_lost_index_is_said_and_no_new_start(half_run, tmp_path, capsys):
    copy(half_run[0], tmp_path)
    (tmp_path / "ckpt-2.index").unlink()
    step = toy_step(one_device())
    assert checkpoints(tmp_path, step).restore_latest() == 1
    said = capsys.readouterr().out
    assert "the checkpoint of step 2 has lost its .index file; it is passed over" in said
    (tmp_path / "ckpt-1.index").unlink()
    with pytest.raises(UserError, match=r"step 1 has lost its \.index file, and there is no other"):
        checkpoints(tmp_path, step).restore_latest()
