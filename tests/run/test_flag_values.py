"""Which values and which names the command line refuses, and what it says."""

import pytest
from helpers.flag_lines import config_of, error_of

from efficientnet_tf.config import OptimizerConfig
from efficientnet_tf.run import flags
from efficientnet_tf.run.flag_names import _MEANT
from efficientnet_tf.run.flag_table import ALL_FLAGS, TOPICS
from efficientnet_tf.run.idle_flags import BIGTABLE
from efficientnet_tf.train.optimizer import build_optimizer
from efficientnet_tf.train.schedule import build_schedule

NUMERIC = [row for row in ALL_FLAGS.values() if row.kind in (int, float)]


def name_of(row):
    return row.name


def test_rows_have_a_topic_a_help_and_a_check():
    assert len(ALL_FLAGS) == sum(map(len, TOPICS.values()))
    for row in ALL_FLAGS.values():
        assert row.help and row.help[-1] != "."
        assert row.check or row.kind in (bool, str), row.name
        assert not (row.unset and row.initial is not None), row.name


@pytest.mark.parametrize("row", NUMERIC, ids=name_of)
def test_numbers_are_checked(row):
    for bad in ("-2", "1099511627776") if row.kind is int else ("-0.1", "inf", "-inf", "nan"):
        assert error_of(f"--{row.name}={bad}").startswith(f"--{row.name}=")
    assert "number" in error_of(f"--{row.name}=many")
    if row.initial is not None:
        config_of(f"--{row.name}={row.initial}")


@pytest.mark.parametrize(
    "argument, words",
    [
        ("--seed=-5", "--seed=-5 must be at least 0"),
        ("--seed=2147483648", "at most 2,147,483,647"),
        ("--train_steps=0", "--train_steps=0 must be positive"),
        ("--train_steps=1e3", "--train_steps=1e3: a whole number is needed"),
        ("--use_cache=perhaps", "--use_cache=perhaps: true or false is needed"),
        ("--input_image_size=31", "--input_image_size=31 must be at least 32"),
        ("--input_image_size=22400", "at most 10,000"),
        ("--width_coefficient=1000", "at most 100"),
        ("--depth_coefficient=0", "--depth_coefficient=0.0 must be positive"),
        ("--train_batch_size=2048000", "at most 1,000,000"),
        ("--dropout_rate=1", "--dropout_rate=1.0 must be less than 1"),
        ("--survival_prob=1.5", "at most 1"),
        ("--min_crop_area=0", "--min_crop_area=0.0 must be positive"),
        ("--base_learning_rate=1e999", "--base_learning_rate=inf must be a finite number"),
        ("--base_learning_rate=3e39", "--base_learning_rate=3e+39 must be at most"),
        ("--holdout_shards=0", "--holdout_shards=0 must be positive"),
        ("--mode=trian", "did you mean train"),
        ("--optimizer=rmsprob", "did you mean rmsprop"),
        ("--lr_schedule=cosin", "did you mean cosine"),
        ("--augment_name=randaug", "did you mean randaugment"),
        ("--resize_method=nearest", "did you mean bilinear"),
        ("--distribution_strategy=miror", "did you mean mirrored"),
        ("--data_format=NHWC", "channels_last"),
        ("--optimizer=", "unknown --optimizer ''"),
        ("--model_name=efficientnet-b9", "did you mean efficientnet-b"),
        ("--profile_steps=20,10", "must be the first and the last step, such as 10,20"),
        ("--profile_steps=0,5", "--profile_steps=0,5 must be"),
        ("--profile_steps=x", "--profile_steps=x must be"),
        ("--lr_range_steps=5", "at least 20"),
        ("--benchmark=train,inptu", "unknown --benchmark 'inptu'; did you mean input?"),
        ("--train_steps", "train_steps"),
    ],
)
def test_bad_values_are_one_line(argument, words):
    assert words in error_of(argument)


@pytest.mark.parametrize(
    "argument, meant",
    [
        ("--lr=0.1", "--base_learning_rate"),
        ("--learning_rate=0.1", "--base_learning_rate"),
        ("--epochs=3", "--train_epochs: the same in epochs, in place of --train_steps"),
        ("--batch_size=3", "--train_batch_size"),
        ("--image_size=3", "--input_image_size"),
        ("--model=b0", "--model_name"),
        ("--num_classes=3", "--num_label_classes"),
        ("--weights=imagenet", "--init_checkpoint"),
        ("--output_dir=runs", "--model_dir"),
        ("-lr=0.1", "--base_learning_rate"),
    ],
)
def test_words_of_other_programs_name_the_flag_that_is_meant(argument, meant):
    assert f"use {meant}" in error_of(argument)


def test_unknown_flags_name_the_nearest():
    assert error_of("--train_batch=3").endswith(
        "did you mean --train_batch_size or --train_epochs or --train_steps?"
    )


def test_words_of_other_programs_are_no_flags_and_mean_flags():
    assert not set(_MEANT) & set(flags.FLAGS) and not set(_MEANT) & set(ALL_FLAGS)
    assert set(_MEANT.values()) <= set(ALL_FLAGS)


@pytest.mark.parametrize("row", BIGTABLE, ids=name_of)
def test_bigtable_is_refused(row):
    assert "Bigtable input is gone" in error_of(f"--{row.name}=x")


def test_choices_are_what_training_builds():
    for name in ALL_FLAGS["lr_schedule"].check.names:
        schedule = build_schedule(OptimizerConfig(lr_schedule=name), 256, 10.0, 100)
    for name in ALL_FLAGS["optimizer"].check.names:
        build_optimizer(OptimizerConfig(optimizer=name), schedule)
