"""TensorFlow's checkpoint files, local or in a bucket: found by listing, damage in one line."""

import os
from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from efficientnet_tf.config import UserError
from efficientnet_tf.weights.formats.bundle_index import read_index


def folder_files(folder: str) -> list[str]:
    """Names of what lies in `folder`, sorted; none where there is no such folder.

    Listed and not globbed: a folder's name may hold `[`, `*` or `?`. A local one not by `gfile`,
    which fails where a name is not UTF-8.
    """
    if not tf.io.gfile.isdir(folder):
        return []
    if "://" in folder:
        return sorted(name.rstrip("/") for name in tf.io.gfile.listdir(folder))
    return sorted(name.decode(errors="replace") for name in os.listdir(os.fsencode(folder)))


def bundle_files(prefix: str) -> list[str]:
    """Paths of the files that make up the checkpoint `prefix`."""
    folder, slash, name = prefix.rpartition("/")
    names = folder_files(folder or slash or ".")
    return [f"{folder}{slash}{file}" for file in names if file.startswith(f"{name}.")]


def check_path(path: str) -> None:
    """Raises a `UserError` for a path below which TensorFlow saves checkpoints but finds none.

    Its reader takes a prefix for a pattern, in which these two characters do not match themselves.
    """
    if any(character in path for character in "[\\"):
        raise UserError(
            f"{path}: TensorFlow cannot read checkpoints below a name with [ or \\ in it"
        )


class TensorBundle:
    """The variables of one checkpoint.

    Attributes:
      prefix: where it lies.
      shapes: of every variable, by name.

    Raises:
      UserError: no such checkpoint, or a damaged one.
    """

    def __init__(self, prefix: str):
        self.prefix = prefix
        check_path(prefix)
        if not tf.io.gfile.exists(f"{prefix}.index"):
            raise UserError(f"{prefix}: no such checkpoint (expected {prefix}.index)")
        try:
            self._announced = read_index(f"{prefix}.index")
            self._reader = tf.train.load_checkpoint(prefix)
        except Exception as error:  # TensorFlow has a class for each way of being damaged
            raise self._unreadable(error) from None
        self.shapes = {name: entry.shape for name, entry in self._announced.items()}

    def num_bytes(self, names: Iterable[str]) -> int:
        """What reading these variables takes."""
        return sum(self._announced[name].num_bytes for name in names)

    def read(self, name: str) -> np.ndarray:
        """The value of one variable."""
        if not self._announced[name].is_numeric:
            raise UserError(f"{self.prefix}: {name} holds no numbers")
        try:
            return self._reader.get_tensor(name)
        except Exception as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: Exception) -> UserError:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
        return UserError(f"{self.prefix}: not a readable checkpoint ({reason})")
