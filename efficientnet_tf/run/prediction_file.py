"""Predictions in a file, written as they come."""

import json
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import tensorflow as tf

from efficientnet_tf.csv_text import csv_text
from efficientnet_tf.train.writing import writing

_COLUMNS = ("file", "rank", "class", "name", "probability", "error", "explanation")


def _csv_rows(result: dict) -> str:
    """A row for each predicted class, or one for the error."""
    rows = [
        {**result, **prediction, "rank": rank}
        for rank, prediction in enumerate(result.get("predictions", ()), start=1)
    ]
    return csv_text([row.get(column, "") for column in _COLUMNS] for row in rows or [result])


class _Format(NamedTuple):
    head: str
    text: Callable[[dict], str]
    separator: str
    tail: str


_FORMATS = {
    "csv": _Format(csv_text([_COLUMNS]), _csv_rows, "", ""),
    "json": _Format("[\n", partial(json.dumps, indent=1), ",\n", "\n]\n"),
    "jsonl": _Format("", json.dumps, "\n", "\n"),
}


class PredictionFile:
    """A JSON array; `.jsonl`: an object a line; `.csv`: a row for each predicted class.

    Until `close` it lies under `<path>.part`, complete up to some picture: a file that is there
    already is not lost to a run that fails.

    Args:
      path: the file, local or in a bucket; its ending says the format.

    Raises:
      UserError: it cannot be written; `write` and `close` likewise.
    """

    def __init__(self, path: str):
        self._path, self._draft = path, f"{path}.part"
        self._format = _FORMATS.get(path.rpartition(".")[2].lower(), _FORMATS["json"])
        self._before = ""
        with self._writing():
            self._file = tf.io.gfile.GFile(self._draft, "w")
            self._file.write(self._format.head)

    def write(self, result: dict) -> None:
        """Adds a result of the `Predictor`."""
        with self._writing():
            self._file.write(self._before + self._format.text(result))
        self._before = self._format.separator

    def close(self) -> None:
        """Gives the file its name."""
        with self._writing():
            self._file.write(self._format.tail)
            self._file.close()
            tf.io.gfile.rename(self._draft, self._path, overwrite=True)

    def _writing(self):
        return writing(f"--output_json={self._path}", f"see to {self._draft}: room, permission")
