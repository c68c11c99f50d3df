"""From the command line to a `RunConfig`, in this process."""

import dataclasses

import pytest
from helpers.command import ROOT
from helpers.flag_lines import config_of, error_of, parsed

import efficientnet_tf as en
from efficientnet_tf.config import (
    DataConfig,
    DistributionConfig,
    ExportConfig,
    OptimizerConfig,
    RunConfig,
    TrainConfig,
    UserError,
)
from efficientnet_tf.run import flags
from efficientnet_tf.run.flag_checks import Choice
from efficientnet_tf.run.flag_table import ALL_FLAGS
from efficientnet_tf.run.idle_flags import BIGTABLE, WITHOUT_EFFECT

# The flags of the original's main.py, all 62, and the defaults of those that this program obeys
# and that have one.
# fmt: off
ORIGINAL_FLAGS = [
    "use_tpu", "tpu_job_name", "tpu", "gcp_project", "tpu_zone", "data_dir", "holdout_shards",
    "eval_name", "archive_ckpt", "model_dir", "model_name", "mode", "augment_name",
    "randaug_num_layers", "randaug_magnitude", "train_steps", "input_image_size",
    "train_batch_size", "eval_batch_size", "batch_norm_batch_size", "num_train_images",
    "num_eval_images", "steps_per_eval", "eval_timeout", "skip_host_call",
    "iterations_per_loop", "num_parallel_calls", "bigtable_project", "bigtable_instance",
    "bigtable_table", "bigtable_train_prefix", "bigtable_eval_prefix", "bigtable_column_family",
    "bigtable_column_qualifier", "data_format", "num_label_classes", "batch_norm_momentum",
    "batch_norm_epsilon", "transpose_input", "use_bfloat16", "export_dir", "export_to_tpu",
    "base_learning_rate", "lr_decay_epoch", "moving_average_decay", "weight_decay",
    "label_smoothing", "dropout_rate", "survival_prob", "mixup_alpha", "log_step_count_steps",
    "use_cache", "depth_coefficient", "width_coefficient", "use_async_checkpointing",
    "optimizer", "lr_schedule", "lr_decay_factor", "lr_warmup_epochs", "lars_weight_decay",
    "lars_epsilon", "num_replicas",
]
# fmt: on
ORIGINAL_DEFAULTS = {
    "archive_ckpt": True,
    "mode": "train_and_eval",
    "randaug_num_layers": 2,
    "randaug_magnitude": 10,
    "train_steps": 218949,
    "train_batch_size": 2048,
    "eval_batch_size": 64,
    "batch_norm_batch_size": 128,
    "steps_per_eval": 6255,
    "skip_host_call": False,
    "iterations_per_loop": 1251,
    "base_learning_rate": 0.016,
    "lr_decay_epoch": 2.4,
    "moving_average_decay": 0.9999,
    "weight_decay": 1e-5,
    "label_smoothing": 0.1,
    "mixup_alpha": 0.0,
    "log_step_count_steps": 64,
    "use_cache": False,
    "optimizer": "rmsprop",
    "lr_schedule": "exponential",
    "lr_decay_factor": 0.97,
    "lr_warmup_epochs": 5,
    "lars_weight_decay": 1e-5,
    "lars_epsilon": 0.0,
}
# Fields of a run that no flag fills, and why.
WITHOUT_FLAG = {
    "run.arguments": "what follows the flags",
    "run.flags_text": "written, not read",
    "run.overrides": "its entries have flags",
    "run.data": "its fields have flags",
    "run.optimizer": "its fields have flags",
    "run.train": "its fields have flags",
    "run.distribution": "its fields have flags",
    "run.export": "its fields have flags",
    "data.multi_label": "follows from --loss",
    "optimizer.decay": "a constant in the original",
    "optimizer.momentum": "a constant in the original",
    "optimizer.epsilon": "a constant in the original",
}
SECTIONS = {
    "run": RunConfig,
    "data": DataConfig,
    "optimizer": OptimizerConfig,
    "train": TrainConfig,
    "distribution": DistributionConfig,
    "export": ExportConfig,
}
# Flags whose field has another name.
RENAMED = {
    "input_image_size": {"data.image_size"},
    "num_label_classes": {"data.num_classes"},
    "distribution_strategy": {"distribution.strategy"},
    "use_tpu": {"distribution.strategy"},
    "seed": {"data.seed", "train.seed"},
    "blocks_args": {"overrides.blocks"},
}
FILLING = [row for row in ALL_FLAGS.values() if row not in WITHOUT_EFFECT + BIGTABLE]
RECIPES = sorted((ROOT / "flags").glob("*.flags"))
IMAGENET_RECIPES = [path for path in RECIPES if path.stem.startswith("imagenet")]


def name_of(row):
    return row.name


def leaves(config):
    """`{"data.seed": 0, ...}`: every field of a run by its path, but for the flagfile."""
    sections = [section for section in SECTIONS if section != "run"]
    paths = {f"run.{name}": value for name, value in vars(config).items() if name not in sections}
    del paths["run.overrides"], paths["run.flags_text"]
    for section in sections:
        values = vars(getattr(config, section)).items()
        paths.update({f"{section}.{name}": value for name, value in values})
    return {**paths, **{f"overrides.{name}": value for name, value in config.overrides.items()}}


def changes(config):
    """The paths whose values differ from those of a run of which nothing was said."""
    before = leaves(RunConfig())
    return {path for path, value in leaves(config).items() if value != before.get(path)}


def test_the_original_has_62_flags_and_they_are_all_here():
    assert len(set(ORIGINAL_FLAGS)) == 62
    assert not set(ORIGINAL_FLAGS) - set(parsed()[0])


def test_defaults_are_the_originals():
    values, _ = parsed()
    assert {name: values[name].value for name in ORIGINAL_DEFAULTS} == ORIGINAL_DEFAULTS


def test_saying_nothing_is_a_run_of_defaults():
    assert dataclasses.replace(config_of(), flags_text="") == RunConfig()


@pytest.mark.parametrize("row", FILLING, ids=name_of)
def test_a_flag_fills_its_field_and_no_other(row):
    sample = {bool: not row.initial, int: 65, float: 0.5, str: "words"}[row.kind]
    if isinstance(row.check, Choice):
        sample = row.check.names[-1]
    sample = {
        "model_name": "efficientnet-lite3",
        "profile_steps": "3,4",
        "benchmark": "input",
        "blocks_args": "r1_k3_s11_e1_i32_o16 r2_k3_s22_e6_i16_o24_se0.25",
        "export_formats": "litert,onnx",
    }.get(row.name, sample)
    config = config_of(f"--{row.name}={sample}")
    paths = changes(config)
    assert {path.partition(".")[2] for path in paths} == {row.name} or paths == RENAMED[row.name]
    wanted = "tpu" if row.name == "use_tpu" else row.reads(sample) if row.reads else sample
    assert all(leaves(config)[path] == wanted for path in paths)


def test_every_field_has_a_flag_or_a_reason():
    filled = {f"{section}.{field}" for row in ALL_FLAGS.values() for section, field in row.fields}
    fields = {
        f"{section}.{field.name}"
        for section, config in SECTIONS.items()
        for field in dataclasses.fields(config)
    }
    assert fields - filled == set(WITHOUT_FLAG)
    assert {path for path in filled - fields if not path.startswith("overrides.")} == set()


def test_only_what_was_said_overrides_the_network():
    config = config_of("--dropout_rate=0", "--width_coefficient=1")
    assert config.overrides == {"dropout_rate": 0.0, "width_coefficient": 1.0}
    assert config.model_name is None and config.data.image_size is None
    assert config.data.num_classes is None and config.data.dataset is None
    # The number of the original's default is said as well.
    assert config_of("--num_label_classes=1000").data.num_classes == 1000
    assert config_of("--num_train_images=1281167").data.num_train_images == 1281167


def test_poly_is_the_originals_word_for_polynomial():
    assert config_of("--lr_schedule=poly").optimizer.lr_schedule == "polynomial"


def test_use_tpu_is_a_strategy():
    assert config_of("--use_tpu").distribution.strategy == "tpu"
    assert config_of("--use_tpu", "--distribution_strategy=tpu").distribution.strategy == "tpu"
    assert config_of("--nouse_tpu").distribution.strategy is None
    assert "contradict" in error_of("--use_tpu", "--distribution_strategy=mirrored")


def test_an_empty_value_undoes_a_recipe(monkeypatch):
    monkeypatch.chdir(ROOT)
    recipe = "--flagfile=flags/imagenet-b0.flags"
    assert config_of(recipe).data.augment_name == "autoaugment"
    assert config_of(recipe, "--augment_name=").data.augment_name is None


def test_only_some_modes_take_arguments():
    assert config_of("--mode=predict", "a.jpg", "b.jpg").arguments == ("a.jpg", "b.jpg")
    assert config_of("--mode=convert", "b0.keras").arguments == ("b0.keras",)
    assert error_of("--use_cache", "true").startswith("'true' is no flag")


def test_notes_name_what_is_ignored_and_what_is_assumed():
    def notes(*arguments):
        values, words = parsed(*arguments)
        return flags.notes(flags.run_config(words, values), values)

    assert notes("--dataset=digits", "--num_parallel_calls=64") == []
    (ignored,) = notes("--dataset=digits", "--num_parallel_calls=8")
    assert ignored.startswith("--num_parallel_calls has no effect")
    (ignored,) = notes("--dataset=digits", "--explain=heat")
    assert ignored == "--explain has no effect: it is for --mode=predict"
    assert notes("--mode=predict", "--explain=heat") == []
    (ignored,) = notes("--dataset=digits", "--min_agreement=0.9")
    assert ignored == "--min_agreement has no effect without --export_dir"
    assert notes("--dataset=digits", "--min_agreement=0.9", "--export_dir=x") == []
    (assumed,) = notes("--mode=train")
    assert "synthetic" in assumed and "--dataset" in assumed and "--data_dir" in assumed
    for given in ("--dataset=synthetic", "--data_dir=pictures", "--mode=summary", "--mode=predict"):
        assert notes(given) == []


@pytest.mark.parametrize(
    "path",
    [path for path in RECIPES if path.stem.startswith("imagenet")],
    ids=lambda path: path.stem,
)
def test_imagenet_recipes_are_the_papers(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    config = config_of(f"--flagfile={path}")
    assert config.model_name == f"efficientnet-{path.stem.split('-')[1]}"
    epochs = config.train.train_steps * config.data.train_batch_size / 1281167
    assert epochs == pytest.approx(350, rel=1e-5)
    assert config.train.train_steps // config.train.steps_per_eval == 35
    wanted = "randaugment" if "randaugment" in path.stem else "autoaugment"
    assert config.data.augment_name == wanted


@pytest.mark.parametrize("data", ["folder", "cifar100", "flowers102"])
def test_fine_tuning_recipes_name_their_data_and_leave_the_network_open(data):
    config = en.recipe(f"finetune-{data}")
    assert config.data.dataset in (data, f"oxford_{data}")
    assert config.model_name is config.train.init_checkpoint is None
    assert config.optimizer.optimizer == "adamw" and config.train.train_epochs


def test_a_recipe_in_python_is_the_command_line():
    words = ["--flagfile=finetune-folder", "--data_dir=my pictures", "--nofreeze_bn", "--seed=3"]
    said = {"data_dir": "my pictures", "freeze_bn": False, "seed": 3}
    assert en.recipe("finetune-folder", **said) == config_of(*words)
    steps = en.recipe("finetune-folder", train_epochs=None, train_steps=50).train
    assert steps.train_epochs is None and steps.train_steps == 50
    for wrong in ({"train_steps": 50}, {"sead": 3}, {"seed": "x"}):
        with pytest.raises(UserError):
            en.recipe("finetune-folder", **wrong)
    with pytest.raises(UserError, match="quickstart"):
        en.recipe("quick-start")


@pytest.mark.parametrize(
    "arguments",
    [
        *([f"--flagfile={path}"] for path in RECIPES),
        ["--dataset=digits"],
        ["--dropout_rate=0.1", "--nohorizontal_flip", "--data_dir=a b=c", "--use_tpu", "--seed=3"],
        ["--lr_schedule=poly", "--augment_name=", "--nouse_bfloat16", "--weight_decay=1e-7"],
        ["--dataset=digits", "--num_parallel_calls=8", "--num_label_classes=1000"],
    ],
    ids=lambda arguments: arguments[0].rpartition("/")[2],
)
def test_a_run_is_started_again_by_its_flagfile(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    first = config_of(*arguments)
    (tmp_path / "flags.txt").write_text(first.flags_text)
    assert config_of(f"--flagfile={tmp_path / 'flags.txt'}") == first


def test_flagfile_leaves_out_what_was_asked_once():
    text = config_of("--mode=eval", "--export_dir=x", "--output_json=y", "--seed=3").flags_text
    said = [line for line in text.splitlines() if not line.startswith("#")]
    assert said == ["--seed=3"]
    assert {"# --mode=eval", "# --train_steps=218949"} <= set(text.splitlines())
