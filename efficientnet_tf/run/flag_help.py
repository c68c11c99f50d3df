"""What `--help` and `--helpfull` print."""

import itertools
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence

from efficientnet_tf.run.flag_checks import Choice
from efficientnet_tf.run.flag_row import Flag
from efficientnet_tf.run.flag_table import TOPICS

_WIDTH = 100
_HEAD = """\
Trains, evaluates and uses EfficientNets. Flags are --name=value; switches are --name or --noname.
In brackets: what holds without the flag.

  efficientnet-tf --flagfile=quickstart
  efficientnet-tf --flagfile=finetune-folder --init_checkpoint=noisy-student \\
      --data_dir=pictures --model_dir=runs/pictures
"""
_FULL_TAIL = """\
Also: --flagfile=FILE reads flags from a file, or from a recipe by its name; --verbosity=0 shows
TensorFlow's log; --helpxml lists all flags in XML, absl's own among them."""


def short_help() -> str:
    """The flags that people use, by topic."""
    shown = {topic: [flag for flag in flags if flag.everyday] for topic, flags in TOPICS.items()}
    return _page(shown, "--helpfull lists every flag, the 62 of the original among them.")


def full_help() -> str:
    """Every flag, by topic."""
    return _page(TOPICS, _FULL_TAIL)


_SHORT = {"--help", "-help", "--helpshort", "-helpshort", "-h", "--h", "-?"}
_FULL = {"--helpfull", "-helpfull"}


def requested_help(arguments: Sequence[str]) -> str | None:
    """The help that the command line asks for; the short one where the line is empty.

    An empty line would train for 218,949 steps on synthetic images, which nobody means.
    """
    flags = set(itertools.takewhile(lambda argument: argument != "--", arguments))
    if flags & _FULL:
        return full_help()
    return short_help() if flags & _SHORT or not arguments else None


def _page(topics: Mapping[str, Sequence[Flag]], tail: str) -> str:
    column = 2 + max(len(flag.name) for flags in topics.values() for flag in flags) + 4
    parts = [_HEAD]
    for topic, flags in topics.items():
        if flags:
            parts.append("\n".join([topic, *_rows(flags, column)]) + "\n")
    return "\n".join([*parts, tail])


def _rows(flags: Iterable[Flag], column: int) -> Iterator[str]:
    for flag in flags:
        yield textwrap.fill(
            _meaning(flag),
            _WIDTH,
            initial_indent=f"  --{flag.name}".ljust(column),
            subsequent_indent=" " * column,
            break_on_hyphens=False,
        )


def _meaning(flag: Flag) -> str:
    """The help of a row with its choices, and what holds without the flag."""
    choices = f": {flag.check}" if isinstance(flag.check, Choice) else ""
    default = flag.initial if flag.initial not in (None, "") else flag.unset
    if flag.kind is bool and flag.initial is not None:
        default = "on" if flag.initial else "off"
    elif isinstance(default, float):
        default = f"{default:g}"
    return f"{flag.help}{choices}" + f" [{default}]" * (default != "")
