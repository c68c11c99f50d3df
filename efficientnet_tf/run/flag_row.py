"""One row of the flag table: a flag's name, the config field it fills, its help and its check."""

import dataclasses
import functools
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from efficientnet_tf.config import (
    DataConfig,
    DistributionConfig,
    ExportConfig,
    ModelConfig,
    OptimizerConfig,
    RunConfig,
    TrainConfig,
)
from efficientnet_tf.run.flag_checks import Check

# The dataclass of each section of a run. `overrides` are the said fields of the network.
SECTIONS: Mapping[str, type] = {
    "run": RunConfig,
    "overrides": ModelConfig,
    "data": DataConfig,
    "optimizer": OptimizerConfig,
    "train": TrainConfig,
    "distribution": DistributionConfig,
    "export": ExportConfig,
}


# What holds while a flag is absent.
OF_NETWORK, OF_DATA = "the network's own", "the data's own"


@dataclass(frozen=True)
class Flag:
    """A flag of the command line. Its type and its default are those of the field it fills.

    Attributes:
      name: without the dashes.
      fills: the section whose field of the flag's name it fills, `data`; with another field's name
        after a dot, `data.image_size`; None for a flag that fills no field of its own.
      help: one phrase; `--help` adds the names of a `Choice`.
      check: None for text that only the file system, the network or the data can judge.
      unset: what holds while the flag is absent, in words, where the field's default is None.
      everyday: whether `--help` shows it; `--helpfull` shows all.
      default: of a flag that fills no field.
      also: a second field that takes the same value, `train.seed`.
      synonyms: other words for a value, `{"poly": "polynomial"}`.
      reads: from the text of the flag to the field's value, where that is no bool, int, float or
        str; `check` has seen the text by then.
      writes: the inverse of `reads`; a `ValueError` for a value that no text says.
    """

    name: str
    fills: str | None
    help: str
    check: Check | None = None
    unset: str = ""
    everyday: bool = False
    default: typing.Any = None
    also: str | None = None
    synonyms: Mapping[str, str] = dataclasses.field(default_factory=dict)
    reads: Callable[[str], typing.Any] | None = None
    writes: Callable[[typing.Any], str] | None = None

    @property
    def fields(self) -> list[tuple[str, str]]:
        """What it fills, as `(section, field)`."""
        paths = (path.partition(".") for path in (self.fills, self.also) if path)
        return [(section, field or self.name) for section, _, field in paths]

    @property
    def initial(self) -> typing.Any:
        """The default: None while the network, the weights, the data or the device decide."""
        if not self.fields:
            return self.default
        section, name = self.fields[0]
        defaults = {field.name: field.default for field in dataclasses.fields(SECTIONS[section])}
        return None if section == "overrides" else defaults[name]

    @property
    def kind(self) -> type:
        """`bool`, `int`, `float` or `str`, from the field's annotation."""
        if self.reads:
            return str
        if not self.fields:
            return type(self.default)
        section, name = self.fields[0]
        annotation = typing.get_type_hints(SECTIONS[section])[name]
        options = typing.get_args(annotation) or (annotation,)
        return next(option for option in options if option is not types.NoneType)

    def value(self, given: typing.Any) -> typing.Any:
        """The value for the field, from the one on the command line.

        Synonyms are resolved.
        """
        return self.synonyms.get(given, given)


everyday = functools.partial(Flag, everyday=True)
