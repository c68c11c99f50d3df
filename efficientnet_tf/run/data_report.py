"""What a folder of pictures is like: a few lines for a person, and a table of all pictures."""

import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import tensorflow as tf

from efficientnet_tf.arch.summary import text_table
from efficientnet_tf.csv_text import csv_text
from efficientnet_tf.data.pictures.census import Entry
from efficientnet_tf.data.pictures.copies import leak_warning

# Of more classes only the largest and the smallest are shown.
_CLASSES_SHOWN = 20
_EXAMPLES_SHOWN = 5
_SPLITS = ("train", "val")


def write_csv(entries: Sequence[Entry], path: str) -> None:
    """A row for each picture, with a column for each field of `Entry`."""
    tf.io.write_file(path, csv_text([Entry._fields, *entries]))


def report(entries: Sequence[Entry], image_size: int) -> str:
    """Numbers of pictures by class and split, their sizes and formats, what is wrong with some.

    Args:
      entries: of all pictures, the training split first.
      image_size: side of the network's input in pixels.
    """
    counts = {split: Counter(e.label for e in entries if e.split == split) for split in _SPLITS}
    lines = [_class_table(counts), "", *_facts(entries, counts["train"], image_size)]
    return "\n".join([*lines, *(f"warning: {line}" for line in _warnings(entries))])


def _class_table(counts: Mapping[str, Counter]) -> str:
    names = {name for split in counts.values() for name in split}
    rows = [(name, *(split[name] for split in counts.values())) for name in sorted(names)]
    total = ("total", *(split.total() for split in counts.values()))
    left_out = []
    if len(rows) > _CLASSES_SHOWN:
        rows.sort(key=lambda row: -row[1])
        half = _CLASSES_SHOWN // 2
        left_out = [(f"({len(rows) - 2 * half} classes between)", "", "")]
        rows = rows[:half] + left_out + rows[-half:]
    cells = [[str(cell) for cell in row] for row in (*rows, total)]
    return text_table((f"class ({len(names)})", *counts), cells)


def _facts(entries, training: Counter, image_size: int) -> Iterator[str]:
    readable = [entry for entry in entries if not entry.problem]
    if len(training) > 1:
        (most, high), (least, low) = training.most_common()[0], training.most_common()[-1]
        yield f"balance: {high / low:.1f} training pictures of {most!r} to each of {least!r}"
    if not readable:
        return
    for side in ("width", "height"):
        sizes = [getattr(entry, side) for entry in readable]
        yield f"{side}: {min(sizes)} to {max(sizes)}, median {statistics.median_low(sizes)}"
    small = sum(min(entry.width, entry.height) < image_size for entry in readable)
    if small:
        yield f"{small} of {len(readable)} have a side below the network's {image_size} pixels"
    formats = Counter(entry.format for entry in readable).most_common()
    yield "formats: " + ", ".join(f"{name} {count}" for name, count in formats)


def _warnings(entries) -> Iterator[str]:
    bad = [f"{entry.file} {entry.problem}" for entry in entries if entry.problem]
    if bad:
        yield _listed("cannot be decoded", bad)
    first = {entry.file: entry for entry in entries}
    pairs = [(entry, first[entry.copy_of]) for entry in entries if entry.copy_of]
    for split in _SPLITS:
        within = [pair for pair in pairs if {entry.split for entry in pair} == {split}]
        if within:
            yield _listed(f"copies within {split}", _equal(within))
    mixed = [pair for pair in pairs if pair[0].label != pair[1].label]
    if mixed:
        yield _listed("in two classes", _equal(mixed))
    evaluation = [entry.file for entry in entries if entry.split == "val"]
    yield from leak_warning(evaluation, {copy.file: other.file for copy, other in pairs})


def _equal(pairs) -> list[str]:
    return [f"{copy.file} is {first.file}" for copy, first in pairs]


def _listed(what: str, examples: Sequence[str]) -> str:
    """The first examples below a line; all of them are in the CSV file."""
    more = len(examples) - _EXAMPLES_SHOWN
    lines = [*examples[:_EXAMPLES_SHOWN], *([f"and {more} more"] if more > 0 else [])]
    return "\n  ".join([f"{what}: {len(examples)}", *lines])
