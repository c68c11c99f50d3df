"""A run of this package as a source of weights: its folder, or one of its checkpoints.

A run's folder holds checkpoints `ckpt-<step>`, `model_params.txt` with the network's fields,
`labels.json` with the names of the classes and `loss.txt` with the name of the loss. Its `archive/`
holds a copy of the best checkpoint.
"""

import re
from dataclasses import replace

import keras
import numpy as np
import tensorflow as tf

from efficientnet_tf.config import UserError
from efficientnet_tf.weights.assignment import CLASSIFIER, Weights
from efficientnet_tf.weights.description import (
    Description,
    label_names_from,
    network_from_json,
    parsed,
)
from efficientnet_tf.weights.formats.tensor_bundle import TensorBundle, bundle_files, folder_files
from efficientnet_tf.weights.naming import checkpoint_variables
from efficientnet_tf.weights.opened import OpenedWeights
from efficientnet_tf.weights.size_limit import check_size

NETWORK_FILE, LABELS_FILE, LOSS_FILE = "model_params.txt", "labels.json", "loss.txt"
BEST_FILE = "archive/best.json"

_NAME = re.compile(r"ckpt-(\d+)")
_SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
_CLASSIFIER_PATHS = ("predictions/kernel", "predictions/bias")


def list_checkpoints(directory: str) -> list[str]:
    """Prefixes of the run's checkpoints in `directory`, newest first.

    The directory is scanned: TensorFlow's `checkpoint` file may be lost or empty, and TensorFlow
    would then start again at step 0 and overwrite the run.
    """
    names = [n.removesuffix(".index") for n in folder_files(directory) if n.endswith(".index")]
    prefixes = [f"{directory.rstrip('/')}/{name}" for name in names if _NAME.fullmatch(name)]
    return sorted(prefixes, key=checkpoint_step, reverse=True)


def checkpoint_step(prefix: str) -> int:
    """The step in a checkpoint's name."""
    return int(_NAME.fullmatch(prefix.rpartition("/")[2])[1])


def find_run(path: str) -> str | None:
    """The checkpoint of a run that `path` means, None if it means no run.

    Args:
      path: a run's folder, for its best checkpoint, or the newest where none has been archived; or
        its `archive/`, a prefix, or an `.index` file.
    """
    if prefixes := list_checkpoints(path):
        return best_checkpoint(path) or prefixes[0]
    prefix = path.removesuffix(".index")
    is_named = _NAME.fullmatch(prefix.rpartition("/")[2])
    return prefix if is_named and bundle_files(prefix) else None


def best_checkpoint(folder: str) -> str | None:
    """The checkpoint in the `archive/` of a run's folder, None where there is none."""
    archived = list_checkpoints(f"{folder.rstrip('/')}/archive")
    path = f"{folder.rstrip('/')}/{BEST_FILE}"
    if not archived or not tf.io.gfile.exists(path):
        return None
    try:
        best = parsed(_read(path), path)
    except UserError:  # torn by a full disk; the archive has one checkpoint all the same
        best = None
    name = best.get("checkpoint") if isinstance(best, dict) else None
    # While a better one is being archived there are two.
    return next((prefix for prefix in archived if prefix.endswith(f"/{name}")), archived[0])


def check_best(path: str) -> None:
    """Refuses a run whose best checkpoint was archived and is gone.

    Args:
      path: a run's folder; anything else passes.

    Raises:
      UserError: names the checkpoint and those that are left.
    """
    folder = path.rstrip("/")
    record = f"{folder}/{BEST_FILE}"
    if not tf.io.gfile.exists(record) or list_checkpoints(f"{folder}/archive"):
        return
    left = list_checkpoints(folder)
    instead = f"; {left[0]} is left: --init_checkpoint={left[0]}" if left else ""
    raise UserError(f"{folder}: {record} names its best checkpoint, which is gone{instead}")


def open_run(prefix: str, ema: bool = True, at_once: bool = False) -> OpenedWeights:
    """The weights of one checkpoint, with what the run's folder says about them.

    Args:
      prefix: as `find_run` returns it.
      ema: the moving averages where the run has them, False for the raw weights.
      at_once: read the checkpoint now, all of it, so that it is known to be whole and nothing
        that happens to it later matters.

    Raises:
      UserError: no such checkpoint; it or its description is damaged.
    """
    checkpoint = RunCheckpoint(prefix)
    kind, classes = checkpoint.kind(ema), checkpoint.classes
    description = read_description(prefix.rpartition("/")[0] or ".")
    step, read = checkpoint_step(prefix), checkpoint.reader(kind, at_once)
    if description is None:
        return OpenedWeights(prefix, read, classes=classes, step=step, kind=kind)
    described = replace(description, step=step, kind=kind)
    return OpenedWeights.described(prefix, read, classes, described)


def open_newest_run(folder: str, ema: bool = True) -> OpenedWeights:
    """`open_run` of the newest checkpoint in a folder whose index can be read.

    Raises:
      UserError: none can.
    """
    prefixes = list_checkpoints(folder)
    for prefix in prefixes:
        try:
            return open_run(prefix, ema)
        except UserError:
            if prefix == prefixes[-1]:
                raise
    raise UserError(f"{folder}: no checkpoint of a run there")


def read_description(folder: str) -> Description | None:
    """What the files of a run's folder say about it, None where there is none.

    `archive/` has no description of its own; the folder above has.

    Raises:
      UserError: one of the files is damaged.
    """
    path = f"{folder}/{NETWORK_FILE}"
    if not tf.io.gfile.exists(path):
        above = folder.removesuffix("/archive")
        return read_description(above) if above != folder else None
    network = network_from_json(_read(path), path)
    description = Description(network)
    labels, loss = f"{folder}/{LABELS_FILE}", f"{folder}/{LOSS_FILE}"
    if tf.io.gfile.exists(labels):
        names = label_names_from(parsed(_read(labels), labels), labels)
        description = replace(description, label_names=names)
    if tf.io.gfile.exists(loss):
        description = replace(description, loss=_read(loss).strip())
    return description


def _read(path: str) -> str:
    with tf.io.gfile.GFile(path, "rb") as file:
        return file.read().decode(errors="replace")


class RunCheckpoint:
    """The variables of a checkpoint of a run, by the paths of Keras.

    Attributes:
      prefix: where it lies.
      shapes: of its variables `model/<path>`, `ema/<path>` and `optimizer/<path>`.

    Raises:
      UserError: no such checkpoint, or a damaged one.
    """

    def __init__(self, prefix: str):
        self.prefix = prefix
        self._bundle = TensorBundle(prefix)
        self._keys = {_unescaped(k): k for k in self._bundle.shapes if k.endswith(_SUFFIX)}
        self._keys.pop("save_counter", None)
        self.shapes = {name: self._bundle.shapes[key] for name, key in self._keys.items()}

    @property
    def classes(self) -> int | None:
        """Width of the classifier, None without one."""
        bias = self.shapes.get(f"model/{_CLASSIFIER_PATHS[1]}")
        return bias[0] if bias and len(bias) == 1 else None

    def kind(self, ema: bool = True) -> str:
        """Which weights there are to take: `"ema"`, or `"raw"` without an average or wish."""
        return "ema" if ema and any(name.startswith("ema/") for name in self.shapes) else "raw"

    def reader(self, kind: str, at_once: bool = False):
        """The function from a model to the weights by the original's names; see `OpenedWeights`.

        Args:
          kind: `"ema"` or `"raw"`.
          at_once: they are read now, not when the function is called, and the rest of the
            checkpoint too, because an intact part does not make it a good one.
        """
        part = {"ema": "ema/", "raw": "model/"}[kind]
        keys = {n.removeprefix(part): k for n, k in self._keys.items() if n.startswith(part)}
        if not keys:
            raise UserError(f"{self.prefix}: not a checkpoint of a run of this program")

        held = self._read_whole(part) if at_once else None

        def read(model: keras.Model) -> Weights:
            names = {v.path: name for name, v in checkpoint_variables(model).items()}
            names.update(zip(_CLASSIFIER_PATHS, CLASSIFIER, strict=True))  # a model may lack it
            check_size(model, self._bundle.num_bytes(keys.values()), self.prefix)
            values = held or {path: self._bundle.read(key) for path, key in keys.items()}
            return {names.get(path, path): value for path, value in values.items()}

        return read

    def _read_whole(self, part: str) -> dict[str, np.ndarray]:
        """The values of one part by their paths; those of the other parts are read as well."""
        values = {name: self._bundle.read(key) for name, key in self._keys.items()}
        return {n.removeprefix(part): value for n, value in values.items() if n.startswith(part)}


def _unescaped(key: str) -> str:
    """`ema/stem.Sconv2d.Skernel/.ATTRIBUTES/VARIABLE_VALUE` -> `ema/stem/conv2d/kernel`."""
    name = key.removesuffix(_SUFFIX)
    return re.sub(r"\.(.)", lambda match: "/" if match[1] == "S" else match[1], name)
