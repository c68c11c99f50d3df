"""The command line: the original's flags under their own names, ours beside them.

Nothing below this file sees a flag: `run_config` turns them into a `RunConfig` once. Differences
from the original (its defaults stand otherwise):
1. `use_tpu` is off; `use_bfloat16` and `num_replicas` are decided by the device.
2. Without `data_dir` the data are synthetic; the original read a bucket of fake ImageNet.
3. The numbers of classes and images are the data's own unless their flags are given.
"""

import os
import sys
from collections.abc import Sequence

from absl import flags

from efficientnet_tf.arch.variants import model_config
from efficientnet_tf.config import (
    MIN_IMAGE_SIZE,
    DataConfig,
    DistributionConfig,
    ModelConfig,
    OptimizerConfig,
    RunConfig,
    TrainConfig,
    UserError,
    unknown_name,
)
from efficientnet_tf.run.flag_table import BIGTABLE, FLOATS, MODES, WITHOUT_EFFECT, define_flags

__all__ = ["define_flags", "run_config"]

FLAGS = flags.FLAGS
_OVERRIDES = [name for name, _ in FLOATS]


def _given(name: str) -> object:
    """A flag's value if it was on the command line or in a flagfile, else None."""
    return FLAGS[name].value if FLAGS[name].present else None


def run_config(arguments: Sequence[str] = ()) -> RunConfig:
    """The whole run as the parsed flags, and what followed them, describe it.

    Raises:
      UserError: a name that is unknown or a value out of range.
    """
    _check(arguments)
    model = model_config(
        FLAGS.model_name,
        **{name: FLAGS[name].value for name in _OVERRIDES if FLAGS[name].value is not None},
    )
    _mention_what_has_no_effect()
    dataset = FLAGS.dataset or ("tfrecord" if FLAGS.data_dir else "synthetic")
    return RunConfig(
        mode=FLAGS.mode,
        model=model,
        data=_data_config(model, dataset),
        optimizer=_fill(OptimizerConfig),
        train=_train_config(model, dataset),
        distribution=_distribution_config(),
        given=_given_data(),
        arguments=tuple(arguments),
        output_json=FLAGS.output_json,
        export_dir=FLAGS.export_dir,
        batch_norm_batch_size=FLAGS.batch_norm_batch_size,
        flags_text=_flagfile(),
    )


def _given_data() -> frozenset[str]:
    """The fields of `DataConfig` that flags set and weights or data must not change."""
    names = {
        "image_size": FLAGS.input_image_size,
        "resize_method": FLAGS.resize_method,
        "num_classes": _given("num_label_classes"),
        "dataset": FLAGS.dataset or FLAGS.data_dir,
    }
    return frozenset(name for name, value in names.items() if value is not None)


def _fill(config_class: type, **values: object):
    """A config whose fields of the same name as a flag take the flag's value."""
    names = [name for name in config_class.__dataclass_fields__ if name in FLAGS]
    return config_class(**{**{name: FLAGS[name].value for name in names}, **values})


def _data_config(model: ModelConfig, dataset: str) -> DataConfig:
    return _fill(
        DataConfig,
        dataset=dataset,
        image_size=FLAGS.input_image_size or model.input_size,
        resize_method=FLAGS.resize_method or model.resize_method,
        num_classes=_given("num_label_classes"),
        num_train_images=_given("num_train_images"),
        num_eval_images=_given("num_eval_images"),
    )


def _train_config(model: ModelConfig, dataset: str) -> TrainConfig:
    model_dir = FLAGS.model_dir
    trains = FLAGS.mode in ("train", "train_and_eval")
    if not model_dir and (trains or FLAGS.mode == "summary" or not FLAGS.init_checkpoint):
        model_dir = os.path.join("runs", f"{model.name}-{dataset}")
    return _fill(TrainConfig, model_dir=model_dir)


def _distribution_config() -> DistributionConfig:
    strategy = FLAGS.distribution_strategy
    if FLAGS.use_tpu:
        if strategy not in (None, "tpu"):
            raise UserError(f"--use_tpu and --distribution_strategy={strategy} contradict")
        strategy = "tpu"
    return _fill(DistributionConfig, strategy=strategy)


_POSITIVE = [
    "train_steps",
    "train_batch_size",
    "eval_batch_size",
    "steps_per_eval",
    "iterations_per_loop",
    "log_step_count_steps",
    "num_label_classes",
    "num_train_images",
    "num_eval_images",
    "base_learning_rate",
    "lr_decay_epoch",
    "lr_decay_factor",
    "keep_checkpoint_max",
    "randaug_num_layers",
    "batch_norm_batch_size",
    "batch_norm_epsilon",
    "width_coefficient",
    "depth_coefficient",
]
_FRACTIONS = [
    "batch_norm_momentum",
    "label_smoothing",
    "moving_average_decay",
    "random_erasing",
    "dropout_rate",
    "survival_prob",
]
_NOT_NEGATIVE = [
    "lr_warmup_epochs",
    "weight_decay",
    "mixup_alpha",
    "cutmix_alpha",
    "max_bad_examples",
    "randaug_magnitude",
    "eval_timeout",
    "lars_weight_decay",
    "lars_epsilon",
]
_RULES = (
    (_POSITIVE, lambda value: value > 0, "positive"),
    (_NOT_NEGATIVE, lambda value: value >= 0, "at least 0"),
    (_FRACTIONS, lambda value: 0 <= value <= 1, "between 0 and 1"),
    (["dropout_rate"], lambda value: value < 1, "less than 1"),
    (["input_image_size"], lambda value: value >= MIN_IMAGE_SIZE, f"at least {MIN_IMAGE_SIZE}"),
)


def _check(arguments: Sequence[str]) -> None:
    """What can be said of the flags before TensorFlow is loaded."""
    if FLAGS.mode not in MODES:
        raise unknown_name("--mode", FLAGS.mode, MODES)
    if len(arguments) and FLAGS.mode not in ("predict", "convert"):
        raise UserError(f"{arguments[0]!r} is no flag; --mode={FLAGS.mode} takes no arguments")
    for name, _ in BIGTABLE:
        if FLAGS[f"bigtable_{name}"].present:
            raise UserError(
                f"--bigtable_{name}: Bigtable input is gone from TensorFlow 2; use TFRecords with "
                "--data_dir"
            )
    for names, holds, rule in _RULES:
        for name in names:
            value = FLAGS[name].value
            if value is not None and not holds(value):
                raise UserError(f"--{name}={value} must be {rule}")
    if FLAGS.data_format not in ("channels_last", "channels_first"):
        raise UserError(f"--data_format={FLAGS.data_format}: channels_last or channels_first")


def _mention_what_has_no_effect() -> None:
    for name, default, why in WITHOUT_EFFECT:
        if FLAGS[name].present and FLAGS[name].value != default:
            print(f"note: --{name} has no effect: {why}", file=sys.stderr)


# What is asked for once and is no part of the run that its flagfile starts again.
_OF_THIS_INVOCATION = ("mode", "export_dir", "output_json")


def _flagfile() -> str:
    """The flags of this run: those given as a flagfile, the others as comments in it."""
    lines = []
    for flag in sorted(
        FLAGS.flags_by_module_dict()[define_flags.__module__], key=lambda flag: flag.name
    ):
        idle = flag.name.startswith("bigtable_") or flag.name in [
            name for name, *_ in WITHOUT_EFFECT
        ]
        if flag.value is not None and (flag.present or not idle):
            given = flag.present and flag.name not in _OF_THIS_INVOCATION
            lines.append(f"{'' if given else '# '}{flag.serialize()}")
    return "\n".join(sorted(lines, key=lambda line: line.startswith("#"))) + "\n"
