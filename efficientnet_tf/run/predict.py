"""The likeliest classes of picture files."""

import json
import os
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from efficientnet_tf import data
from efficientnet_tf.config import ModelConfig, RunConfig, UserError
from efficientnet_tf.imagenet import BACKGROUND, imagenet_labels
from efficientnet_tf.nn.network import build_network
from efficientnet_tf.run.folder import RunFolder
from efficientnet_tf.run.initial_weights import InitialWeights
from efficientnet_tf.train.checkpoint import find_checkpoints, load_run_weights
from efficientnet_tf.train.evaluator import warn_of_unit_range
from efficientnet_tf.train.progress import Progress

_TOP = 5


class Predictor:
    """A network with its weights and the names of its classes.

    The weights are `--init_checkpoint`, else those of the run in `--model_dir`, whose network and
    class names are then used too.

    Raises:
      UserError: no weights.
    """

    def __init__(self, config: RunConfig):
        folder = RunFolder(config.train.model_dir) if config.train.model_dir else None
        model, self._names = config.model, None
        weights = None
        if config.train.init_checkpoint:
            weights = InitialWeights.open(config.train.init_checkpoint, model.name)
            self._names = weights.label_names
            classes = {"num_classes": weights.num_classes} if weights.num_classes else {}
            model = weights.adapt(model).replace(**classes)
        elif folder and (prefixes := find_checkpoints(folder.path)):
            model = folder.read_model() or model
            self._names = folder.read_labels()
        else:
            raise UserError("--mode=predict needs --init_checkpoint or the --model_dir of a run")
        self._size, self._resize_method = _input_of(model, config)
        shape = (self._size, self._size, 3)
        self._model = build_network(model, input_shape=shape)
        if weights:
            weights.load(self._model)
        else:
            load_run_weights(self._model, prefixes[0])
        self._names = self._names or _class_names(model.num_classes)
        self._batch_size = config.data.eval_batch_size
        self._brightest = -1.0
        # ImageNet's classes are 0..999 whether the network has a background class or not.
        self._offset = int(self._names[0] == BACKGROUND)

    def predict(self, paths: Sequence[str], output_json: str | None = None) -> None:
        """Prints a table for each file, and writes all results to `output_json`.

        Raises:
          UserError: at the end, if a file could not be read; the others are done by then.
        """
        if not paths:
            raise UserError("--mode=predict needs picture files: main.py --mode=predict cat.jpg")
        folder = os.path.dirname(output_json or "") or "."
        if not tf.io.gfile.isdir(folder):
            raise UserError(f"--output_json={output_json}: {folder} is not a folder")
        results, progress = [], Progress("predict", len(paths), unit="image")
        for batch in self._batches(paths):
            results += batch
            progress.update(len(results))
        progress.close()
        if 0 <= self._brightest <= 1:
            warn_of_unit_range()
        for result in results:
            print(_table(result))
        if output_json:
            with tf.io.gfile.GFile(output_json, "w") as file:
                json.dump(results, file, indent=1)
        failed = [result for result in results if "error" in result]
        if failed:
            raise UserError(f"{len(failed)} of {len(results)} files could not be read")

    def _batches(self, paths) -> Iterator[list[dict]]:
        for start in range(0, len(paths), self._batch_size):
            results = [{"file": path} for path in paths[start : start + self._batch_size]]
            images = []
            for result in results:
                try:
                    images.append(
                        data.read_picture(result["file"], self._size, self._resize_method)
                    )
                except UserError as error:
                    result["error"] = str(error)
            good = [result for result in results if "error" not in result]
            if good:
                probabilities = self._model.predict_on_batch(np.stack(images))
                self._brightest = max(self._brightest, float(np.max(images)))
                for result, row in zip(good, probabilities, strict=True):
                    result["predictions"] = self._best(row)
            yield results

    def _best(self, probabilities) -> list[dict]:
        best = np.argsort(-probabilities, kind="stable")[:_TOP].tolist()
        return [
            {
                "class": index - self._offset,
                "name": self._names[index],
                "probability": float(probabilities[index]),
            }
            for index in best
        ]


def _input_of(model: ModelConfig, config: RunConfig) -> tuple[int, str]:
    """Side and resize method: a flag's, else the network's."""
    size = config.data.image_size if "image_size" in config.given else model.input_size
    given = "resize_method" in config.given
    return size, config.data.resize_method if given else model.resize_method


def _class_names(num_classes: int) -> list[str]:
    """ImageNet's names where the number of classes says ImageNet, else numbers."""
    labels = list(imagenet_labels())
    if num_classes == len(labels) + 1:
        return [BACKGROUND, *labels]
    return labels if num_classes == len(labels) else [str(i) for i in range(num_classes)]


def _table(result: dict) -> str:
    if "error" in result:
        return f"{result['file']}\n  {result['error']}"
    rows = (f"  {p['probability']:7.2%}  {p['name']}" for p in result["predictions"])
    return "\n".join([result["file"], *rows])
