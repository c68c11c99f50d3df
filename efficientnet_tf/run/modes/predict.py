"""`--mode=predict`."""

import json
import os
from collections.abc import Sequence

import tensorflow as tf

from efficientnet_tf import data
from efficientnet_tf.config import RunConfig, UserError
from efficientnet_tf.run.explanations import Explanations
from efficientnet_tf.run.predictor import Predictor
from efficientnet_tf.run.resolve import resolve
from efficientnet_tf.run.starting_point import to_predict
from efficientnet_tf.train.evaluator import warn_of_unit_range
from efficientnet_tf.train.progress import Progress


def predict(config: RunConfig) -> None:
    """Prints a table for each picture; writes results to `output_json`, pictures to `explain`.

    Raises:
      UserError: at the end, if a picture could not be read; the others are done by then.
    """
    output = config.output_json
    if not config.arguments:
        raise UserError("--mode=predict needs picture files: main.py --mode=predict cat.jpg")
    if not (config.train.init_checkpoint or config.train.model_dir):
        raise UserError("--mode=predict needs --init_checkpoint or the --model_dir of a run")
    folder = os.path.dirname(output or "") or "."
    if not tf.io.gfile.isdir(folder):
        raise UserError(f"--output_json={output}: {folder} is not a folder")
    paths = _pictures(config.arguments)
    readable = [path for path in paths if data.is_text(path)]
    explanations = Explanations(config.explain, readable) if config.explain and readable else None
    weights = to_predict(config)
    network, config = resolve(config, weights)
    predictor = Predictor(network, weights, config.data.eval_batch_size, explanations)
    results, progress = [], Progress("predict", len(paths), unit="image")
    for result in predictor.predict(paths):
        results.append({**result, "file": data.shown(result["file"])})
        progress.update(len(results))
    progress.close()
    if predictor.brightest is not None and predictor.brightest <= 1:
        warn_of_unit_range()
    for result in results:
        print(_table(result))
    if config.explain:
        print(f"explained: {config.explain}")
    if output:
        with tf.io.gfile.GFile(output, "w") as file:
            json.dump(results, file, indent=1)
    failed = [result for result in results if "error" in result]
    if failed:
        raise UserError(f"{len(failed)} of {len(results)} files could not be read")


def _pictures(arguments: Sequence[str]) -> list[str]:
    """The files that were named, and the pictures in the folders that were."""
    paths = []
    for argument in arguments:
        is_folder = data.is_text(argument) and tf.io.gfile.isdir(argument)
        paths += data.list_pictures(argument) if is_folder else [argument]
    return paths


def _table(result: dict) -> str:
    if "error" in result:
        return f"{result['file']}\n  {result['error']}"
    rows = (f"  {p['probability']:7.2%}  {p['name']}" for p in result["predictions"])
    return "\n".join([result["file"], *rows])
