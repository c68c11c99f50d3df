"""The experiment's statistics, and what it takes to be the same run."""

import dataclasses

import pytest
from helpers.toy import tiny_run, toy_config

from efficientnet_tf.config import DataConfig, UserError
from efficientnet_tf.study import experiment
from efficientnet_tf.study.single_axis import AXES

KINDS = ["baseline", *AXES, "compound"]


def results(scores):
    """Results of one data set: {axis: accuracies}."""
    return [
        experiment.Result("digits", axis, seed, "0", 1.0, 1.0, 32, 10, 20, score)
        for axis, values in scores.items()
        for seed, score in enumerate(values)
    ]


def test_a_lead_in_every_run_is_one_division_of_252():
    """Five of ten runs can be chosen in 252 ways; one of them has all the best."""
    ours, theirs = (0.9, 0.91, 0.92, 0.93, 0.94), (0.8, 0.81, 0.82, 0.83, 0.84)
    assert experiment.chance_of_lead(ours, theirs) == pytest.approx(1 / 252)
    assert experiment.chance_of_lead(theirs, ours) == pytest.approx(1)
    assert experiment.chance_of_lead(ours, ours) > 0.5


def test_comparisons_are_corrected_by_holm():
    low, high = [0.80, 0.81, 0.82, 0.83, 0.84], [0.90, 0.91, 0.92, 0.93, 0.94]
    scores = {"baseline": low, "depth": low, "width": low, "resolution": high, "compound": high}
    rows = {row.axis: row for row in experiment.compare(results(scores))}
    assert list(rows) == list(scores)
    assert rows["depth"].p_value == rows["width"].p_value == pytest.approx(3 / 252)
    assert rows["resolution"].p_value > 0.5
    assert rows["baseline"].p_value is rows["compound"].p_value is None
    assert rows["depth"].mean == pytest.approx(0.82)
    assert rows["depth"].deviation == pytest.approx(0.0158, abs=1e-4)


def test_single_runs_have_no_test():
    rows = experiment.compare(results({axis: [0.5] for axis in KINDS}))
    assert [row.p_value for row in rows] == [None] * 5
    assert {row.deviation for row in rows} == {0.0}


def test_data_in_folders_are_kept_apart_by_the_name_of_the_folder():
    names = {
        experiment.dataset_name(DataConfig(dataset="idx", data_dir=folder))
        for folder in ("/data/mnist", "fashion-mnist/", "gs://bucket/kmnist")
    }
    assert names == {"mnist", "fashion-mnist", "kmnist"}
    assert experiment.dataset_name(DataConfig(dataset="digits")) == "digits"


def test_trials_share_their_seed_and_have_folders_of_their_own(tmp_path):
    config = tiny_run(tmp_path, train_steps=7)
    trials = experiment.trials(config, toy_config(), 1.0, 2, "study")
    assert [(trial.axis, trial.seed) for trial in trials] == [(a, s) for s in (0, 1) for a in KINDS]
    assert len({trial.config.train.model_dir for trial in trials}) == 10
    for trial in trials:
        assert trial.config.train.seed == trial.config.data.seed == trial.seed
        assert trial.config.data.image_size == trial.network.input_size
        assert trial.config.train.steps_per_eval == 7
        assert trial.config.overrides["depth_coefficient"] == trial.network.depth_coefficient


def test_what_is_done_is_left_out_and_other_settings_are_refused(tmp_path):
    config = tiny_run(tmp_path, train_steps=7)
    trials = experiment.trials(config, toy_config(), 1.0, 2, "study")
    done = list(experiment.results_of(trials[:3], lambda run: 0.5))
    assert experiment.missing(trials, done) == trials[3:]
    moved = experiment.trials(config, toy_config(), 1.0, 2, "elsewhere")
    assert experiment.missing(moved, done) == moved[3:]
    longer = experiment.trials(tiny_run(tmp_path, train_steps=8), toy_config(), 1.0, 2, "study")
    with pytest.raises(UserError, match="other settings"):
        experiment.missing(longer, done)
    unsaid = dataclasses.replace(config, train=type(config.train)())
    with pytest.raises(UserError, match="--train_epochs"):
        experiment.trials(unsaid, toy_config(), 1.0, 2, "study")
