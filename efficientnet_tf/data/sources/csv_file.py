"""Pictures whose labels stand in a CSV file beside them.

    file,labels
    boat/1.jpg,boat;outdoors
    2.jpg,

`labels.csv` in `data_dir`, of whose pictures `hold_out` takes a fifth to evaluate, or `train.csv`
and `val.csv` (or `validation.csv`, `test.csv`). Files are named from `data_dir` on; labels are
separated by `;` or `|`. Classes are the sorted labels of the training split.
"""

import csv
import os
import re

import tensorflow as tf

from efficientnet_tf.config import DataConfig, UserError
from efficientnet_tf.data.pictures.file_names import list_names, refusal, shown
from efficientnet_tf.data.pictures.listing import find_pictures
from efficientnet_tf.data.sources.folder import EVAL_NAMES
from efficientnet_tf.data.sources.labelled_files import Labelled, LabelledFiles, hold_out

_HEADERS = (["file", "labels"], ["file", "label"])


class CSVSource(LabelledFiles):
    """Pictures with the labels that a CSV file gives them: one each, or any number."""

    name = "csv"

    def __init__(self, config: DataConfig):
        folder = config.data_dir
        if not folder or not tf.io.gfile.isdir(folder):
            raise UserError(f"--data_dir={folder} is not a folder with labels.csv and pictures")
        files = set(list_names(folder))
        evaluation = next((f"{name}.csv" for name in EVAL_NAMES if f"{name}.csv" in files), None)
        if "train.csv" in files or evaluation:
            train = _read(folder, "train.csv") if "train.csv" in files else {}
            evaluated = _read(folder, evaluation) if evaluation else {}
            if both := sorted(set(train) & set(evaluated)):
                raise UserError(f"{both[0]} is in train.csv and in {evaluation}")
        elif "labels.csv" in files:
            train, evaluated = hold_out(_read(folder, "labels.csv"), config.seed)
        else:
            raise UserError(f"--data_dir={folder} has neither labels.csv nor train.csv and val.csv")
        _compare(folder, {**train, **evaluated})
        super().__init__(config, train, evaluated)


def _read(folder: str, name: str) -> Labelled:
    """The rows of a file, sorted by label."""
    where = os.path.join(folder, name)
    try:
        with tf.io.gfile.GFile(where) as file:
            rows = csv.reader(file.read().removeprefix("\ufeff").splitlines())
            header = [column.strip() for column in next(rows, [])]
            lines = [(rows.line_num, row) for row in rows if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{where} is not a CSV file in UTF-8: {error}") from None
    if header not in _HEADERS:
        raise UserError(f"{where} begins with {','.join(header)!r}; its first line must be "
                        "file,labels")  # fmt: skip
    pictures: dict[str, tuple[str, ...]] = {}
    for line, row in lines:
        if len(row) != 2:
            raise UserError(f"{where} line {line} has {len(row)} columns, not file,labels; several "
                            "labels are separated by ;")  # fmt: skip
        path = os.path.join(folder, os.path.normpath(row[0].strip()))
        if path in pictures:
            raise UserError(f"{where} line {line} names {row[0]} again; several labels stand in "
                            "one line, separated by ;")  # fmt: skip
        labels = {label.strip() for label in re.split("[;|]", row[1])} - {""}
        pictures[path] = tuple(sorted(labels))
    if not any(pictures.values()):
        raise UserError(f"{where} has no labels")
    return dict(sorted(pictures.items(), key=lambda item: (item[1], item[0])))


def _compare(folder: str, named: Labelled) -> None:
    """Refuses labels of pictures that are not there; one line counts pictures without a line."""
    there = set(find_pictures(folder)[0])
    missing = [path for path in named if path not in there and not tf.io.gfile.exists(path)]
    if missing:
        raise UserError(
            f"{len(missing)} of {len(named)} pictures that --data_dir={folder} has labels of are "
            f"not there, {missing[0]} for one"
        )
    for path in named:
        if path not in there and (reason := refusal(path)):
            raise UserError(f"{path} {reason}")
    if unnamed := sorted(there - set(named)):
        more = f" and {len(unnamed) - 1} more" if len(unnamed) > 1 else ""
        tf.print(f"left out, without a line of labels: {shown(unnamed[0])}{more}")
