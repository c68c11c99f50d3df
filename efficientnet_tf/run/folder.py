"""A run's folder, `model_dir`: whose it is, and small files written so that they are never torn."""

import contextlib
import dataclasses
import json
import re
from collections.abc import Sequence

import tensorflow as tf

from efficientnet_tf.config import ModelConfig, UserError
from efficientnet_tf.train.writing import write_whole, writing
from efficientnet_tf.weights.formats.run_checkpoint import (
    LABELS_FILE,
    LOSS_FILE,
    NETWORK_FILE,
    list_checkpoints,
    read_description,
)
from efficientnet_tf.weights.formats.tensor_bundle import check_path, folder_files

# What may differ between two invocations that continue the same run.
_FREE = {"dropout_rate", "survival_prob", "batch_norm_momentum", "input_size", "resize_method"}
_ORDER_FILE = "data_order.txt"


class RunFolder:
    """`model_dir` and the files in it, local or in a bucket.

    Attributes:
      path: without a slash at its end.
    """

    def __init__(self, path: str):
        self.path = path.rstrip("/")

    def file(self, name: str) -> str:
        """The path of a file in the folder."""
        return f"{self.path}/{name}"

    def read_text(self, name: str) -> str | None:
        """The content of a small file, None where there is none."""
        if not tf.io.gfile.exists(self.file(name)):
            return None
        with tf.io.gfile.GFile(self.file(name), "rb") as file:
            return file.read().decode(errors="replace")

    def write_text(self, name: str, text: str) -> None:
        """Writes a small file in one go: to the disk under another name first, then renamed.

        Raises:
          UserError: it cannot be written; what was there before is as it was.
        """
        with self.writing(name):
            tf.io.gfile.makedirs(self.path)
            write_whole(self.file(name), text)

    def writing(self, name: str) -> contextlib.AbstractContextManager[None]:
        """A context that turns errors of writing a file of the folder into one line."""
        return writing(self.file(name), "see to room and permission, or use another --model_dir")

    def check(self, network: ModelConfig, loss: str) -> None:
        """Refuses a folder that holds another network's run, or could not be read again.

        Raises:
          UserError: with what differs; nothing has been written.
        """
        check_path(self.path)
        found = read_description(self.path)
        if found is None:
            if any(name.endswith(".index") for name in folder_files(self.path)):
                raise UserError(
                    f"--model_dir={self.path} holds checkpoints of another program; use another"
                )
            return
        settings = {**vars(found.network), "loss": found.loss}
        for name, now in {**vars(network), "loss": loss}.items():
            was = settings[name]
            if name not in _FREE and was != now:
                was, now = ("…" if name == "blocks" else json.dumps(v) for v in (was, now))
                raise UserError(
                    f"--model_dir={self.path} belongs to another model: {name} is {was} there, "
                    f"{now} here; use another --model_dir"
                )

    def claim(
        self,
        network: ModelConfig,
        loss: str,
        flags_text: str,
        label_names: Sequence[str] | None,
        order: int,
    ) -> None:
        """Writes down what this run is: network, loss, flags, classes, the order of the data.

        Removes what a save leaves that was killed.

        Args:
          order: the version of the rule that shuffles the training data; see `data_order`.
        """
        for name in folder_files(self.path):
            if re.fullmatch(r"ckpt-\d+_temp", name):
                tf.io.gfile.rmtree(self.file(name))
        self.write_text(NETWORK_FILE, json.dumps(dataclasses.asdict(network), indent=1) + "\n")
        self.write_text(LOSS_FILE, f"{loss}\n")
        self.write_text("flags.txt", flags_text)
        self.write_text(_ORDER_FILE, f"{order}\n")
        if label_names:
            self.write_text(LABELS_FILE, json.dumps(list(label_names), indent=0) + "\n")

    def data_order(self) -> int | None:
        """The version of the shuffling rule the run began with, None for a new run.

        Runs from before versions were written down have the first.
        """
        text = self.read_text(_ORDER_FILE)
        if text is not None:
            if not text.strip().isdigit():
                raise UserError(
                    f"{self.file(_ORDER_FILE)} is damaged: not a number; copy it from another run "
                    "that began with this version"
                )
            return int(text)
        return 1 if list_checkpoints(self.path) else None
