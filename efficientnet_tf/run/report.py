"""`--eval_report`: a folder that says how good some weights are, and where they fail."""

import dataclasses
import json
import os

import numpy as np
import tensorflow as tf

from efficientnet_tf.config import UserError
from efficientnet_tf.csv_text import csv_text
from efficientnet_tf.run.findings import ClassResult, Findings


class EvaluationReport:
    """The report on the last evaluation that was written.

    Its files are `report.json`, `per_class.csv`, `confusion_matrix.csv`, `confusion_matrix.png` and
    `worst_pictures.png`; those of which there is nothing to say are missing.

    Args:
      folder: made when there is something to write, if it is missing.

    Attributes:
      folder: without a slash at its end.

    Raises:
      UserError: it cannot be made.
    """

    def __init__(self, folder: str):
        self.folder = folder.rstrip("/")
        parent = self.folder
        while not tf.io.gfile.exists(parent):
            parent = os.path.dirname(parent) or "."
        if not tf.io.gfile.isdir(parent):
            raise UserError(f"--eval_report={folder}: {parent} is not a folder")

    def write(self, facts: dict, findings: Findings) -> None:
        """Puts these files in the place of those of the evaluation before.

        Args:
          facts: what `report.json` says, beside the mean accuracy of the classes.
          findings: of the same evaluation.
        """
        tf.io.gfile.makedirs(self.folder)
        classes = findings.classes()
        if accuracies := [c.top_1 for c in classes if c.top_1 is not None]:
            facts = {**facts, "mean_class_accuracy": float(np.mean(accuracies))}
        self._put("report.json", json.dumps(facts, indent=1) + "\n")
        self._put("per_class.csv", _per_class(classes) if classes else None)
        self._put("confusion_matrix.csv", _confusion(findings) if classes else None)
        pictures = findings.pictures()
        for name in ("confusion_matrix", "worst_pictures"):
            picture = pictures.get(name)
            self._put(f"{name}.png", None if picture is None else tf.io.encode_png(picture))

    def _put(self, name: str, content) -> None:
        path = f"{self.folder}/{name}"
        if content is not None:
            tf.io.write_file(path, content)
        elif tf.io.gfile.exists(path):
            tf.io.gfile.remove(path)


def _per_class(classes: list[ClassResult]) -> str:
    fields = [field.name for field in dataclasses.fields(ClassResult)]
    return csv_text([["class", *fields[1:]], *map(dataclasses.astuple, classes)])


def _confusion(findings: Findings) -> str:
    rows = zip(findings.names, findings.confusion.tolist(), strict=True)
    return csv_text([["true / predicted", *findings.names], *([name, *row] for name, row in rows)])
