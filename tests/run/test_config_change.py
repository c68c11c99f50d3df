"""A run that goes on with other settings says so, or does not go on."""

import json
import shutil

import pytest
from helpers.command import TINY, call

pytestmark = pytest.mark.slow
FLAGS = [*TINY, "--num_eval_images=56"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    result = call(*FLAGS, f"--model_dir={folder}", "--train_steps=2")
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


def go_on(folder, *flags, steps=4):
    return call(*FLAGS, f"--model_dir={folder}", f"--train_steps={steps}", *flags)


def segments(folder):
    return json.loads((folder / "run.json").read_text())["segments"]


# Flag, and what the message says of it.
CHANGES = {
    "--base_learning_rate=0.1": "--base_learning_rate was 0.016, is 0.1",
    "--lr_schedule=cosine": '--lr_schedule was "exponential", is "cosine"',
    "--lr_warmup_epochs=1": "--lr_warmup_epochs was 5.0, is 1.0",
    "--optimizer=momentum": '--optimizer was "rmsprop", is "momentum"',
    "--gradient_clip_norm=1": "--gradient_clip_norm was 0.0, is 1.0",
    "--layer_decay=0.9": "--layer_decay was 1.0, is 0.9",
    "--train_batch_size=32": "--train_batch_size was 16, is 32",
    "--grad_accum_steps=2": "--grad_accum_steps was 1, is 2",
    "--weight_decay=0.1": "--weight_decay was 1e-05, is 0.1",
    "--label_smoothing=0": "--label_smoothing was 0.1, is 0.0",
    "--moving_average_decay=0.5": "--moving_average_decay was 0.9999, is 0.5",
    "--use_bfloat16": 'the type of the computation was "float32", is "bfloat16"',
    "--dataset=synthetic --num_label_classes=10": '--dataset was "digits", is "synthetic"',
    "--seed=5": "--seed was 0, is 5",
    "--input_image_size=64": "--input_image_size was 32, is 64",
    "--resize_method=bilinear": '--resize_method was "bicubic", is "bilinear"',
    "--augment_name=autoaugment": '--augment_name was null, is "autoaugment"',
    "--mixup_alpha=0.2": "--mixup_alpha was 0.0, is 0.2",
    "--random_erasing=0.5": "--random_erasing was 0.0, is 0.5",
    "--min_crop_area=0.08": "--min_crop_area was 0.6, is 0.08",
    "--nohorizontal_flip": "--horizontal_flip was true, is false",
    "--num_train_images=100": "--num_train_images was 1437, is 100",
    "--num_eval_images=57": "--num_eval_images was 56, is 57",
    "--dropout_rate=0.5": "--dropout_rate was 0.2, is 0.5",
    "--survival_prob=1": "--survival_prob was 0.8, is 1.0",
    "--batch_norm_momentum=0.5": "--batch_norm_momentum was 0.99, is 0.5",
    "--freeze_bn": "--freeze_bn was false, is true",
    "--class_weights=balanced": '--class_weights was null, is "balanced"',
}


@pytest.mark.parametrize("flag", CHANGES)
@pytest.mark.fault(
    "Two runs, changed runs",
    "a run goes on with another rate, batch, data, augmentation, seed … (28 settings)",
    "refused with old and new value; nothing is written",
)
def test_a_changed_setting_is_refused_and_nothing_is_written(run, flag):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    result = go_on(run, *flag.split())
    assert result.returncode == 1
    assert f"trained with other settings: {CHANGES[flag]}" in result.stderr
    assert "--allow_config_change" in result.stderr
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


@pytest.mark.fault(
    "Two runs, changed runs",
    "… with another --init_checkpoint",
    "refused",
)
def test_weights_to_start_from_are_not_for_a_run_that_goes_on(run, trained):
    result = go_on(run, f"--init_checkpoint={trained}")
    assert result.returncode == 1 and "--init_checkpoint was null, is" in result.stderr


@pytest.mark.fault(
    "Two runs, changed runs",
    "… and --allow_config_change",
    "goes on; the change is said and kept with its step",
)
def test_an_allowed_change_is_said_and_a_segment_of_its_own(run):
    result = go_on(run, "--base_learning_rate=0.1", "--allow_config_change")
    assert result.returncode == 0, result.stderr
    assert "changed from here on: --base_learning_rate was 0.016, is 0.1" in result.stdout
    first, second = segments(run)
    assert (first["step"], second["step"]) == (0, 2)
    assert first["settings"] | {"base_learning_rate": 0.1} == second["settings"]
    assert "allow_config_change" not in (run / "flags.txt").read_text().split("#")[0]
    # From then on the new ones are the run's.
    assert go_on(run, "--base_learning_rate=0.1", steps=6).returncode == 0
    assert len(segments(run)) == 3  # for the new length
    assert "was 0.1, is 0.016" in go_on(run, steps=8).stderr


def test_lengths_cadences_and_places_are_free(run):
    free = [
        "--steps_per_eval=3",
        "--iterations_per_loop=1",
        "--log_step_count_steps=2",
        "--keep_checkpoint_max=1",
        "--eval_batch_size=8",
        "--skip_host_call",
        "--noarchive_ckpt",
        "--remat=blocks",
        "--nan_policy=rollback",
        "--use_cache",
    ]
    result = go_on(run, *free, steps=5)
    assert result.returncode == 0, result.stderr
    assert "changed" not in result.stdout and "from step 2" in result.stdout


@pytest.mark.fault(
    "Two runs, changed runs",
    "another --train_steps where the rate follows it",
    "goes on, said",
)
def test_a_rate_that_follows_the_length_is_said(tmp_path):
    flags = ["--lr_schedule=cosine"]
    assert go_on(tmp_path, *flags, steps=2).returncode == 0
    assert "4 steps in all, 2 before: the learning rate follows" in go_on(tmp_path, *flags).stdout


@pytest.mark.fault(
    "Two runs, changed runs",
    "a lower --train_steps than the run has done",
    "said; nothing is trained",
)
def test_a_run_past_its_end_says_so(run):
    result = go_on(run, steps=1)
    assert result.returncode == 0
    assert "nothing to train: the run is at step 2 and --train_steps=1" in result.stdout


def test_before_the_first_checkpoint_everything_may_change(run):
    for path in run.glob("ckpt-*"):
        path.unlink()
    assert go_on(run, "--base_learning_rate=0.1").returncode == 0
    assert segments(run)[0]["settings"]["base_learning_rate"] == 0.1 and len(segments(run)) == 1


@pytest.mark.parametrize("content", ["", "[1]", '{"segments": []}', '{"segments": [{"step": 1}]}'])
@pytest.mark.fault(
    "Files of a run",
    "run.json is damaged",
    "one line",
)
def test_a_damaged_record_is_one_line(run, content):
    (run / "run.json").write_text(content)
    result = go_on(run)
    assert result.returncode == 1 and "run.json is damaged; remove it" in result.stderr


def test_a_run_without_a_record_goes_on_and_has_one(run):
    """As versions before this one left them."""
    (run / "run.json").unlink()
    assert go_on(run, "--base_learning_rate=0.1").returncode == 0
    (segment,) = segments(run)
    assert segment["step"] == 2 and segment["settings"]["base_learning_rate"] == 0.1
