"""The command line becomes a `RunConfig`; nothing below this file sees a flag."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from absl import flags

from efficientnet_tf.arch.variants import model_config
from efficientnet_tf.config import (
    DataConfig,
    DistributionConfig,
    ExportConfig,
    OptimizerConfig,
    RunConfig,
    TrainConfig,
    UserError,
)
from efficientnet_tf.run.flag_names import unknown_flag
from efficientnet_tf.run.flag_row import SECTIONS
from efficientnet_tf.run.flag_table import ALL_FLAGS
from efficientnet_tf.run.flagfiles import resolve_arguments
from efficientnet_tf.run.idle_flags import BIGTABLE, WITHOUT_EFFECT

FLAGS = flags.FLAGS

# absl's parser of a type, and the type in words.
_TYPES = {
    bool: (flags.BooleanParser, "true or false"),
    int: (flags.IntegerParser, "a whole number"),
    float: (flags.FloatParser, "a number"),
    str: (flags.ArgumentParser, "text"),
}


class _Parser(flags.ArgumentParser):
    """absl's parser of a type, with an error in words that are not Python's.

    Where the default is None an empty value is None too, and undoes what a flagfile said:
    `--augment_name=` switches augmentation off.
    """

    def __init__(self, kind: type, may_be_empty: bool):
        parser, self._words = _TYPES[kind]
        self._parser, self._may_be_empty = parser(), may_be_empty

    def parse(self, argument):
        if argument == "" and self._may_be_empty:
            return None
        try:
            return self._parser.parse(argument)
        except (TypeError, ValueError):
            raise ValueError(f"{self._words} is needed") from None

    def flag_type(self) -> str:
        return self._parser.flag_type()


def define_flags(flag_values: flags.FlagValues = FLAGS) -> None:
    """Registers every flag with absl, and forgets what an earlier command line set."""
    for row in ALL_FLAGS.values():
        if row.name in flag_values:
            delattr(flag_values, row.name)
        flag = flags.Flag(
            _Parser(row.kind, may_be_empty=bool(row.fields) and row.initial is None),
            flags.ArgumentSerializer(),
            row.name,
            row.initial,
            row.help,
            boolean=row.kind is bool,
        )
        flags.DEFINE_flag(flag, flag_values)


def parse(arguments: Sequence[str], flag_values: flags.FlagValues = FLAGS) -> list[str]:
    """Sets the flags from the command line, without the program's name; returns the other words.

    Raises:
      UserError: an unknown flag, a value of another type, a flagfile that cannot be read.
    """
    try:
        return flag_values(["efficientnet-tf", *resolve_arguments(arguments)])[1:]
    except flags.UnrecognizedFlagError as error:
        raise unknown_flag(error.flagname, flag_values) from None
    except flags.Error as error:
        raise UserError(str(error).removeprefix("flag ")) from None


def run_config(arguments: Sequence[str] = (), flag_values: flags.FlagValues = FLAGS) -> RunConfig:
    """The run that the parsed flags describe. Fields that no flag said keep their defaults.

    Args:
      arguments: what followed the flags.

    Raises:
      UserError: a name that is unknown, a value out of range, or flags that contradict.
    """
    said = _said(flag_values)
    mode = said["run"].get("mode", RunConfig.mode)
    if arguments and mode not in ("predict", "convert", "study"):
        raise UserError(f"{arguments[0]!r} is no flag; --mode={mode} takes no arguments")
    if name := said["run"].get("model_name"):
        model_config(name)  # an unknown name is an error now, not after TensorFlow has started
    if flag_values["use_tpu"].value:
        strategy = said["distribution"].setdefault("strategy", "tpu")
        if strategy != "tpu":
            raise UserError(f"--use_tpu and --distribution_strategy={strategy} contradict")
    return RunConfig(
        **said["run"],
        overrides=said["overrides"],
        data=DataConfig(**said["data"]),
        optimizer=OptimizerConfig(**said["optimizer"]),
        train=TrainConfig(**said["train"]),
        distribution=DistributionConfig(**said["distribution"]),
        export=ExportConfig(**said["export"]),
        arguments=tuple(arguments),
        flags_text=flags_text(flag_values),
    )


def recipe(name: str, **said: object) -> RunConfig:
    """The run that a flagfile describes, with flags of one's own.

        config = en.recipe("finetune-folder", init_checkpoint="noisy-student", data_dir="pictures")
        print(en.fit(config).evaluations[-1]["top_1_accuracy"])

    Args:
      name: of a recipe that comes with the package, or the path of a flagfile.
      **said: flags by name, `train_epochs=5`; they win over the flagfile's. None undoes what the
        flagfile says.

    Raises:
      UserError: what the command line would say in one line.
    """
    values = flags.FlagValues()
    define_flags(values)
    own = [f"--{flag}={'' if value is None else value}" for flag, value in said.items()]
    rest = parse([f"--flagfile={name}", *own], values)
    return run_config(rest, values)


def _said(flag_values: flags.FlagValues) -> dict[str, dict[str, Any]]:
    """The fields that flags on the command line or in a flagfile fill, by section."""
    said: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for row in ALL_FLAGS.values():
        flag = flag_values[row.name]
        if not flag.present:
            continue
        if row in BIGTABLE:
            raise UserError(f"--{row.name}: Bigtable input is gone from TensorFlow 2; {row.help}")
        value = row.value(flag.value)
        if value is None:
            continue
        if any(map(_is_surrogate, str(value))):
            raise UserError(f"--{row.name}: a name in {ascii(value)} is not UTF-8; rename it")
        if row.check and (error := row.check(row.name, value)):
            raise error
        value = row.reads(value) if row.reads else value
        for section, field in row.fields:
            said[section][field] = value
    return said


def _is_surrogate(character: str) -> bool:
    """Whether Python put it in the place of a byte that is not UTF-8."""
    return "\ud800" <= character <= "\udfff"


def notes(config: RunConfig, flag_values: flags.FlagValues = FLAGS) -> list[str]:
    """What a user should know of flags that were ignored and data that were assumed."""
    lines = [
        f"--{row.name} has no effect: {row.help}"
        for row in WITHOUT_EFFECT
        if flag_values[row.name].value != row.initial
    ]
    for name, mode in _OF_ONE_MODE.items():
        if getattr(config, name) and config.mode != mode:
            lines.append(f"--{name} has no effect: it is for --mode={mode}")
    for name, default in vars(ExportConfig()).items():
        if not config.export_dir and getattr(config.export, name) != default:
            lines.append(f"--{name} has no effect without --export_dir")
    reads_data = config.mode in ("train_and_eval", "train", "eval", "lr_range")
    if reads_data and not config.data.dataset and not config.data.data_dir:
        lines.append("no --dataset and no --data_dir: the images are synthetic")
    return lines


# Fields of a run that one mode alone looks at.
_OF_ONE_MODE = {
    "benchmark": "benchmark",
    "output_json": "predict",
    "explain": "predict",
    "eval_report": "eval",
    "prepared_dir": "prepare",
    "num_shards": "prepare",
    "role": "data_service",
    "study": "study",
    "study_phi": "study",
    "study_seeds": "study",
}
# What is asked for once and is no part of the run that its flagfile starts again.
_OF_THIS_INVOCATION = (
    "allow_config_change",
    "benchmark",
    "mode",
    "eval_report",
    "explain",
    "export_dir",
    *(field.name for field in dataclasses.fields(ExportConfig)),
    "num_shards",
    "output_json",
    "prepared_dir",
    "profile_steps",
    "role",
    "study",
    "study_phi",
    "study_seeds",
)


def flags_text(flag_values: flags.FlagValues = FLAGS) -> str:
    """A flagfile of the flags that were said; the others' values are comments in it."""
    said, comments = [], []
    for name, row in sorted(ALL_FLAGS.items()):
        flag = flag_values[name]
        if flag.present and name not in _OF_THIS_INVOCATION and flag.value is not None:
            said.append(flag.serialize())
        elif flag.value is not None and row not in WITHOUT_EFFECT + BIGTABLE:
            comments.append(f"# {flag.serialize()}")
    return "\n".join(said + comments) + "\n"
