"""A run's folder: whose it is, its results, its best checkpoint."""

import dataclasses
import json

import tensorflow as tf

from efficientnet_tf.config import BlockSpec, ModelConfig, UserError
from efficientnet_tf.weights.formats.tensor_bundle import bundle_files, check_path, folder_files

_PARAMS = "model_params.txt"
# What may differ between two invocations that continue the same run.
_FREE = {"dropout_rate", "survival_prob", "batch_norm_momentum", "input_size", "resize_method"}


class RunFolder:
    """`model_dir` and the files in it, local or in a bucket."""

    def __init__(self, path: str):
        self.path = path.rstrip("/")

    def _file(self, name: str) -> str:
        return f"{self.path}/{name}"

    def _read_json(self, name: str) -> dict | None:
        if not tf.io.gfile.exists(self._file(name)):
            return None
        with tf.io.gfile.GFile(self._file(name)) as file:
            return json.load(file)

    def write_text(self, name: str, text: str) -> None:
        """Writes a small file in one go: under another name first, then renamed."""
        tf.io.gfile.makedirs(self.path)
        with tf.io.gfile.GFile(self._file(f"{name}.tmp"), "w") as file:
            file.write(text)
        tf.io.gfile.rename(self._file(f"{name}.tmp"), self._file(name), overwrite=True)

    def check(self, model: ModelConfig) -> None:
        """Refuses a folder that holds the run of another network, or could not be read again.

        Raises:
          UserError: with what differs; nothing has been written.
        """
        check_path(self.path)
        wanted = json.loads(json.dumps(dataclasses.asdict(model)))
        try:
            found = self._read_json(_PARAMS)
        except ValueError:
            raise UserError(f"{self._file(_PARAMS)} is damaged; use another --model_dir") from None
        if found is None:
            if any(name.endswith(".index") for name in folder_files(self.path)):
                raise UserError(
                    f"--model_dir={self.path} holds checkpoints of another program; use another"
                )
            return
        for name, value in wanted.items():
            if name not in _FREE and found.get(name, value) != value:
                was, now = (
                    json.dumps(v) if name != "blocks" else "…" for v in (found[name], value)
                )
                raise UserError(
                    f"--model_dir={self.path} belongs to another model: {name} is {was} there, "
                    f"{now} here; use another --model_dir"
                )

    def read_model(self) -> ModelConfig | None:
        """The network of the run in this folder, None if there is none.

        Raises:
          UserError: what is written down about it is damaged.
        """
        try:
            if not (fields := self._read_json(_PARAMS)):
                return None
            fields["blocks"] = tuple(BlockSpec(**block) for block in fields["blocks"])
            rgb = {name: tuple(fields[name]) for name in ("mean_rgb", "stddev_rgb")}
            return ModelConfig(**{**fields, **rgb})
        except (ValueError, TypeError, KeyError, AttributeError):
            raise UserError(f"{self._file(_PARAMS)} is damaged: not a model's fields") from None

    def read_labels(self) -> list[str] | None:
        """The names of the run's classes, None if they have none."""
        return self._read_json("labels.json")

    def claim(self, model: ModelConfig, flags_text: str, label_names: list[str] | None) -> None:
        """Writes down what this run is: the network, the flags, the classes."""
        self.write_text(_PARAMS, json.dumps(dataclasses.asdict(model), indent=1) + "\n")
        self.write_text("flags.txt", flags_text)
        if label_names:
            self.write_text("labels.json", json.dumps(label_names, indent=0) + "\n")

    def evaluated_steps(self) -> set[int]:
        """The steps that `eval.jsonl` has a result of."""
        path = self._file("eval.jsonl")
        if not tf.io.gfile.exists(path):
            return set()
        with tf.io.gfile.GFile(path) as file:
            return {json.loads(line)["step"] for line in file.read().splitlines() if line}

    def append_result(self, result: dict) -> None:
        """Adds a line to `eval.jsonl`."""
        tf.io.gfile.makedirs(self.path)
        with tf.io.gfile.GFile(self._file("eval.jsonl"), "a") as file:
            file.write(json.dumps(result) + "\n")

    def archive(self, prefix: str, result: dict) -> bool:
        """Copies a checkpoint to `archive/` if its top-1 is the best so far; whether it was.

        The new files are complete before `archive/best.json` points at them, and only then the
        ones before are deleted.
        """
        best = self._read_json("archive/best.json")
        if best and best["top_1_accuracy"] >= result["top_1_accuracy"]:
            return False
        tf.io.gfile.makedirs(self._file("archive"))
        name = prefix.rsplit("/", 1)[-1]
        for path in bundle_files(prefix):
            target = self._file(f"archive/{path.rsplit('/', 1)[-1]}")
            tf.io.gfile.copy(path, target, overwrite=True)
        self.write_text("archive/best.json", json.dumps({**result, "checkpoint": name}) + "\n")
        self.write_text("archive/checkpoint", f'model_checkpoint_path: "{name}"\n')
        if best and best["checkpoint"] != name:
            for path in bundle_files(self._file(f"archive/{best['checkpoint']}")):
                tf.io.gfile.remove(path)
        return True
