"""`--mode=eval` of a run that saves and deletes checkpoints meanwhile, or has damaged ones."""

import json
import shutil
import socket
import threading
import time

import pytest
from helpers.command import TINY, call, two_processes
from helpers.toy import TINY_OVERRIDES

from efficientnet_tf.config import DistributionConfig, UserError
from efficientnet_tf.run import polling
from efficientnet_tf.run.polling import CheckpointWatch
from efficientnet_tf.train.distribute import choose_strategy

pytestmark = pytest.mark.slow
FLAGS = [*TINY, "--num_eval_images=56"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run with checkpoints of the steps 2, 4 and 6."""
    folder = tmp_path_factory.mktemp("trained")
    result = call(*FLAGS, "--mode=train", f"--model_dir={folder}", "--train_steps=6",
                  "--keep_checkpoint_max=5")  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert sorted(path.stem for path in folder.glob("ckpt-*.index")) == [
        "ckpt-2",
        "ckpt-4",
        "ckpt-6",
    ]
    return folder


@pytest.fixture
def run(trained, tmp_path):
    """A copy of it."""
    return shutil.copytree(trained, tmp_path / "run")


def files(folder, step):
    return list(folder.glob(f"ckpt-{step}.*"))


def copy(source, folder, step):
    for path in files(source, step):
        shutil.copy(path, folder)


def delete(folder, step):
    for path in files(folder, step):
        path.unlink()


def cut(folder, step, ending):
    (path,) = (path for path in files(folder, step) if ending in path.name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(folder, step):
    """Another value in every kilobyte of the weights: only their checksums tell."""
    (path,) = (path for path in files(folder, step) if ".data-" in path.name)
    content = bytearray(path.read_bytes())
    content[::1000] = (byte ^ 1 for byte in content[::1000])
    path.write_bytes(content)


def drop_data(folder, step):
    for path in files(folder, step):
        if ".data-" in path.name:
            path.unlink()


DAMAGE = {
    "data cut": lambda folder, step: cut(folder, step, ".data-"),
    "index cut": lambda folder, step: cut(folder, step, ".index"),
    "data missing": drop_data,
    "bits flipped": flip,
}


class Clock:
    """Time in which nothing is waited for: each pause is the next of some events."""

    def __init__(self, *events):
        self.now, self.events, self.pauses = 0.0, list(events), []

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        self.pauses.append(seconds)
        if self.events:
            self.events.pop(0)()


@pytest.fixture
def clock(monkeypatch):
    def install(*events):
        it = Clock(*events)
        monkeypatch.setattr(polling, "time", it)
        return it

    return install


def watch(folder):
    return CheckpointWatch(choose_strategy(DistributionConfig("default")), str(folder))


def evaluate(folder, *flags):
    return call(*FLAGS, "--mode=eval", f"--model_dir={folder}", "--train_steps=6", *flags)


def steps(result):
    """The steps of the results on standard output."""
    lines = result.stdout.splitlines()
    return [json.loads(line)["step"] for line in lines if line.startswith("{")]


def warnings(result):
    return [line for line in result.stderr.splitlines() if "ckpt-" in line]


def nothing():
    pass


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.fault(
    "Evaluation beside training",
    "the newest checkpoint is damaged",
    "the newest readable one is evaluated, said",
)
def test_a_plain_evaluation_falls_back_to_the_newest_readable_checkpoint(run, kind, capfd):
    DAMAGE[kind](run, 6)
    found = watch(run)
    assert found.next(-1, 0).step == 4
    (line,) = capfd.readouterr().err.splitlines()
    assert f"{run}/ckpt-6: not a readable checkpoint" in line
    assert line.endswith("; step 4 is evaluated instead")
    assert found.next(4, 0) is None and not capfd.readouterr().err


def test_the_command_falls_back_and_writes_down_which_step_it_was(run):
    drop_data(run, 6)
    result = evaluate(run)
    assert result.returncode == 0 and steps(result) == [4], result.stderr
    assert len(warnings(result)) == 1
    last = (run / "eval.jsonl").read_text().splitlines()[-1]
    assert last == result.stdout.splitlines()[-1]


@pytest.mark.parametrize("flags", [[], ["--eval_timeout=1"]])
@pytest.mark.fault(
    "Evaluation beside training",
    "none can be read",
    "one line",
)
def test_if_none_can_be_read_it_is_one_line(run, clock, flags):
    clock()
    before = sorted(run.iterdir())
    for step, damage in zip((2, 4, 6), list(DAMAGE.values())[:3], strict=True):
        damage(run, step)
    result = evaluate(run, *flags)
    assert result.returncode == 1
    error = result.stderr.splitlines()[-1]
    assert error.startswith(f"error: {run}: none of 3 checkpoints can be read; {run}/ckpt-6: not a")
    assert len(result.stderr.splitlines()) == 1 + bool(flags)
    assert len(sorted(run.iterdir())) == len(before) - 1  # the data file deleted above


def test_a_single_checkpoint_that_cannot_be_read_is_the_error(run):
    for step in (2, 4):
        delete(run, step)
    flip(run, 6)
    with pytest.raises(UserError, match=f"^{run}/ckpt-6: not a readable checkpoint"):
        watch(run).next(-1, 0)


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.fault(
    "Evaluation beside training",
    "a checkpoint is half saved",
    "waited for",
)
def test_the_next_checkpoint_half_saved_is_waited_for(trained, run, clock, kind, capfd):
    DAMAGE[kind](run, 6)
    time_passed = clock(lambda: copy(trained, run, 6))
    assert watch(run).next(2, 60).step == 6
    assert time_passed.pauses == [polling._RETRY_SECONDS]
    (line,) = capfd.readouterr().err.splitlines()
    assert f"{run}/ckpt-6: not a readable" in line and line.endswith("; looking again in 2 s")


@pytest.mark.fault(
    "Evaluation beside training",
    "damage that stays",
    "told once; the one before is evaluated",
)
def test_damage_that_stays_is_told_once_and_the_one_before_is_evaluated(run, clock, capfd):
    flip(run, 6)
    clock()
    found = watch(run)
    assert found.next(2, 60).step == 4
    first, second = capfd.readouterr().err.splitlines()
    assert first.endswith("; looking again in 2 s")
    assert second == f"{run}/ckpt-6 still cannot be read; step 4 is evaluated instead"
    assert found.next(4, 60) is None and not capfd.readouterr().err
    assert polling.time.now == pytest.approx(62)


@pytest.mark.parametrize("timeout", [0, 60])
@pytest.mark.fault(
    "Evaluation beside training",
    "a checkpoint is deleted as it is opened",
    "another look",
)
def test_a_checkpoint_deleted_between_two_looks_is_not_the_end(
    trained, run, clock, monkeypatch, timeout
):
    """The listing has step 4; before it is read, training saves step 6 and deletes all others."""
    delete(run, 6)
    seen, open_run = [], polling.open_run

    def open_late(prefix, **options):
        if not seen:
            copy(trained, run, 6)
            for step in (2, 4):
                delete(run, step)
        seen.append(prefix.rpartition("/")[2])
        return open_run(prefix, **options)

    monkeypatch.setattr(polling, "open_run", open_late)
    clock()
    assert watch(run).next(-1, timeout).step == 6
    assert seen == ["ckpt-4", "ckpt-2", "ckpt-6"]


def test_what_is_found_needs_the_files_no_more(run):
    weights = watch(run).next(-1, 0)
    for step in (2, 4, 6):
        delete(run, step)
    from efficientnet_tf.build import build_model

    model = build_model(
        "efficientnet-b0", num_classes=10, input_shape=(32, 32, 3), weights=None, **TINY_OVERRIDES
    )
    assert len(weights.read(model)) >= len(model.weights) - 3  # the normalisation has constants


def test_checkpoints_come_and_go_until_the_last_step(trained, run, clock):
    for step in (4, 6):
        delete(run, step)

    def half_of_four():
        copy(trained, run, 4)
        cut(run, 4, ".data-")

    def six_alone():
        copy(trained, run, 6)
        for step in (2, 4):
            delete(run, step)

    time_passed = clock(nothing, half_of_four, nothing, six_alone)
    result = evaluate(run, "--eval_timeout=60")
    assert result.returncode == 0 and steps(result) == [2, 6], result.stderr
    (line,) = warnings(result)
    assert f"{run}/ckpt-4: not a readable" in line
    assert time_passed.pauses == [10, 10, 2, 10]


@pytest.mark.fault(
    "Evaluation beside training",
    "the run stops before its last step",
    "ends by --eval_timeout",
)
def test_a_run_that_stops_before_its_last_step_ends_by_the_timeout(run, clock):
    delete(run, 6)
    time_passed = clock()
    result = evaluate(run, "--eval_timeout=25")
    assert result.returncode == 0 and steps(result) == [4], result.stderr
    assert time_passed.pauses == [10, 10, 5]


@pytest.mark.fault(
    "Evaluation beside training",
    "the folder disappears",
    "one line",
)
def test_a_folder_that_disappears_while_it_is_waited_for_is_one_line(run, clock):
    delete(run, 6)
    clock(nothing, lambda: shutil.rmtree(run))
    result = evaluate(run, "--eval_timeout=600")
    assert result.returncode == 1 and steps(result) == [4]
    error = result.stderr.splitlines()[-1]
    assert error == f"error: --model_dir={run} has disappeared; nothing more to evaluate"
    assert not run.exists()


def test_a_run_that_begins_after_its_evaluation(trained, tmp_path, clock):
    clock(nothing, lambda: shutil.copytree(trained, tmp_path / "later"))
    assert watch(tmp_path / "later").next(-1, 60).step == 6


@pytest.mark.fault(
    "Evaluation beside training",
    "the best checkpoint is deleted before it is archived",
    "said; the evaluation counts",
)
def test_the_best_that_is_deleted_before_it_is_archived(run, monkeypatch):
    from efficientnet_tf.run import evaluation

    def archive_late(folder, prefix, result):
        delete(run, 6)
        return original(folder, prefix, result)

    original = evaluation.archive_if_best
    monkeypatch.setattr(evaluation, "archive_if_best", archive_late)
    monkeypatch.setattr(
        "efficientnet_tf.run.results.bundle_files", lambda prefix: [f"{prefix}.data-00000-of-00001"]
    )
    result = evaluate(run, "--archive_ckpt")
    assert result.returncode == 0 and steps(result) == [6], result.stderr
    assert "ckpt-6 was deleted before it could be archived as the best" in result.stdout
    assert not (run / "archive" / "best.json").exists()


def test_beside_a_training_in_real_time(trained, run, monkeypatch):
    """Another thread saves as TensorFlow does, the data first, and deletes what is old."""
    for step in (4, 6):
        delete(run, step)
    monkeypatch.setattr(polling, "_POLL_SECONDS", 0.2)
    monkeypatch.setattr(polling, "_RETRY_SECONDS", 0.2)

    def train():
        for step, old in ((4, 2), (6, 4)):
            time.sleep(3)
            for path in sorted(files(trained, step), reverse=step == 4):  # as a bucket may show it
                shutil.copy(path, run)
                time.sleep(0.5)
            delete(run, old)

    thread = threading.Thread(target=train)
    thread.start()
    result = evaluate(run, "--eval_timeout=40")
    thread.join()
    assert result.returncode == 0 and steps(result)[-1] == 6, result.stderr
    assert steps(result) == sorted(set(steps(result)))


@pytest.mark.fault(
    "Evaluation beside training",
    "one of several workers loses the checkpoint",
    "all look again together",
)
def test_workers_that_lose_a_checkpoint_look_again_together(run, clock, monkeypatch):
    """A worker beside the chief: what the chief tells it is scripted, what it sees is not."""
    told, asked = [6, 4], []
    monkeypatch.setattr(polling, "is_chief", lambda strategy: False)
    monkeypatch.setattr(polling, "chief_value", lambda strategy, value: told.pop(0))
    monkeypatch.setattr(polling, "any_worker", lambda strategy, flag: asked.append(flag) or flag)
    delete(run, 6)
    clock()
    assert watch(run).next(-1, 60).step == 4
    assert asked == [True, False]
    told, asked = [6] * 3, []
    with pytest.raises(UserError, match="ckpt-6: no such checkpoint.*but the chief has read it"):
        watch(run).next(-1, 60)
    assert asked == [True] * 3 and polling.time.pauses == [2, 2, 2]


def worker_flags(*folders):
    """What differs between two processes on this machine, each with its own name of the folder."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in folders]
    hosts = ",".join(f"localhost:{it.getsockname()[1]}" for it in sockets)
    for it in sockets:
        it.close()
    return [
        ([f"--worker_hosts={hosts}", f"--task_index={task}", f"--model_dir={folder}"], {})
        for task, folder in enumerate(folders)
    ]


def test_two_workers_evaluate_the_checkpoint_that_the_chief_could_read(run):
    drop_data(run, 6)
    first, second = two_processes([*FLAGS, "--mode=eval"], worker_flags(run, run))
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert steps(first) == [4] and not steps(second)
    assert "step 4 is evaluated instead" in first.stderr
    assert "instead" not in second.stderr


@pytest.mark.parametrize("who", ["chief", "other"])
def test_no_worker_waits_for_one_that_cannot_read(run, tmp_path, who):
    other = run
    if who == "other":
        other = shutil.copytree(run, tmp_path / "other")
        flip(other, 6)
    else:
        for step in (2, 4, 6):
            drop_data(run, step)
    first, second = two_processes([*FLAGS, "--mode=eval"], worker_flags(run, other))
    assert first.returncode == second.returncode == 1, first.stderr + second.stderr
    words = "none of 3 checkpoints can be read" if who == "chief" else "give all workers the same"
    failed, waiting = (first, second) if who == "chief" else (second, first)
    assert words in failed.stderr.splitlines()[-1]
    assert "another worker of this run failed" in waiting.stderr.splitlines()[-1]
