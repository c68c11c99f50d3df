"""What is known of an export: `export_report.json`, and the table that is printed."""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from efficientnet_tf.config import UserError


@dataclass(frozen=True)
class Agreement:
    """How the probabilities of an export compare with those of the Keras model.

    Attributes:
      agreement: share of the pictures, 0..1, whose likeliest class is the same.
      mean_difference, max_difference: of probabilities.
      top_1, top_5: accuracy, 0..1, of the export; None without labels.
    """

    agreement: float
    mean_difference: float
    max_difference: float
    top_1: float | None = None
    top_5: float | None = None


def agreement(
    expected: np.ndarray, found: np.ndarray, labels: Sequence[int] | None = None
) -> Agreement:
    """Compares probabilities, float32 [N, C]; labels are the true classes, [N]."""
    difference = np.abs(expected.astype(np.float64) - found)
    return Agreement(
        float(np.mean(expected.argmax(1) == found.argmax(1))),
        float(difference.mean()),
        float(difference.max()),
        *(accuracy(found, labels, k) for k in (1, 5)),
    )


def accuracy(probabilities: np.ndarray, labels: Sequence[int] | None, k: int) -> float | None:
    """The share of pictures whose label is among the `k` likeliest; None without labels."""
    if labels is None:
        return None
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    return float(np.mean((best == np.asarray(labels)[:, None]).any(1)))


@dataclass(frozen=True)
class FormatReport:
    """One format of an export. What is not known is None.

    Attributes:
      format: its name.
      file: inside the export; None where there is none, and then `problem` says why.
      megabytes: of all its files, 10^6 bytes.
      operators: how often each occurs.
      compared: with the Keras model.
      ms_one_thread, ms_all_threads: milliseconds of one picture, the median call.
      images_per_second: in batches, on all threads.
      peak_memory_mb: of a process that runs one picture at a time, Python and runtime included.
      layers: `(name, deviation)` of each layer of whole numbers, in the order of the network: the
        root mean square of the difference to floating point, as a share of the layer's own.
      problem: why it is not in the export.
    """

    format: str
    file: str | None = None
    megabytes: float | None = None
    operators: dict[str, int] | None = None
    compared: Agreement | None = None
    ms_one_thread: float | None = None
    ms_all_threads: float | None = None
    images_per_second: float | None = None
    peak_memory_mb: float | None = None
    layers: Sequence[tuple[str, float]] | None = None
    problem: str | None = None

    @property
    def widest_layer(self) -> tuple[str, float] | None:
        """The layer that deviates most, by the first of the names that were merged into it.

        The network's own name, with which all begin, is left out.
        """
        if not self.layers:
            return None
        name, deviation = max(self.layers, key=lambda layer: layer[1])
        return name.partition(";")[0].partition("/")[2], deviation


@dataclass(frozen=True)
class ExportReport:
    """An export.

    Attributes:
      model: the network's name.
      image_size: side of its input in pixels.
      num_classes: width of its output.
      num_pictures: that the formats were compared on.
      num_calibration: pictures that quantised formats were calibrated with, 0 for none.
      threads: of the machine.
      top_1, top_5: accuracy of the Keras model on these pictures; None without labels.
      formats: in the order in which they were asked for.
      notes: what was assumed or is advised, a line each.
    """

    model: str
    image_size: int
    num_classes: int
    num_pictures: int
    num_calibration: int
    threads: int
    top_1: float | None
    top_5: float | None
    formats: tuple[FormatReport, ...]
    notes: tuple[str, ...] = ()

    def to_json(self) -> str:
        """The report as the text of its file."""
        return json.dumps(dataclasses.asdict(self), indent=1) + "\n"

    @property
    def problems(self) -> list[str]:
        """Why formats are not in the export, a line each."""
        return [f"{entry.format}: {entry.problem}" for entry in self.formats if entry.problem]

    def rows(self) -> list[list[str]]:
        """The table: a row of headings, one for the Keras model, one for each format.

        Columns that nothing is known for are left out.
        """
        head = ["format", "MB", "agree", "top-1", "top-5", "mean diff", "max diff", "ms, 1 thread",
                "ms, all threads", "images/s", "memory MB", "widest layer"]  # fmt: skip
        keras = ["keras", "", "", _percent(self.top_1), _percent(self.top_5), *[""] * 7]
        rows = [head, keras, *map(_row, self.formats)]
        known = [i for i in range(len(head)) if any(row[i] for row in rows[1:])]
        return [[row[i] for i in known] for row in rows]

    def lines(self) -> list[str]:
        """The report for people."""
        rows = self.rows()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = [
            "  ".join(
                cell.rjust(width) if i else cell.ljust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        return [*table, *self.problems, *(f"note: {note}" for note in self.notes)]


def _row(entry: FormatReport) -> list[str]:
    compared = entry.compared
    cells = [entry.format, _number(entry.megabytes, ".2f")]
    if compared:
        cells += [_percent(compared.agreement), _percent(compared.top_1), _percent(compared.top_5),
                  f"{compared.mean_difference:.1e}", f"{compared.max_difference:.1e}"]  # fmt: skip
    else:
        cells += ["failed" if entry.problem else ""] + [""] * 4
    speeds = (entry.ms_one_thread, entry.ms_all_threads, entry.images_per_second)
    widest = entry.widest_layer
    return [
        *cells,
        *(_number(speed, ".1f") for speed in speeds),
        _number(entry.peak_memory_mb, ".0f"),
        f"{widest[0]} {widest[1]:.1%}" if widest else "",
    ]


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


class ExportFailed(UserError):
    """Some format is not in the export.

    Attributes:
      report: on all formats.
    """

    def __init__(self, report: ExportReport, folder: str):
        problems = report.problems
        super().__init__(f"{folder} lacks {len(problems)} of {len(report.formats)} formats: "
                         f"{'; '.join(problems)}")  # fmt: skip
        self.report = report
