"""`--mode=predict`."""

import os
from collections.abc import Iterable

import tensorflow as tf

from efficientnet_tf import data
from efficientnet_tf.config import RunConfig, UserError
from efficientnet_tf.run.explanations import Explanations
from efficientnet_tf.run.named_pictures import named_pictures
from efficientnet_tf.run.prediction_file import PredictionFile
from efficientnet_tf.run.predictor import Predictor
from efficientnet_tf.run.resolve import resolve
from efficientnet_tf.run.starting_point import to_predict
from efficientnet_tf.train.evaluator import warn_of_unit_range
from efficientnet_tf.train.progress import Progress

# More than a person would read are printed only where they go to no file.
_MAX_PRINTED = 20
_MANY = 2000  # pictures for which freezing the network pays off


def predict(config: RunConfig) -> None:
    """Prints a table for each picture; writes results to `output_json`, pictures to `explain`.

    Results are written and printed as they come, and not kept.

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
    paths = named_pictures(config.arguments)
    readable = [path for path in paths if data.is_text(path)]
    explanations = Explanations(config.explain, readable) if config.explain and readable else None
    weights = to_predict(config)
    network, config = resolve(config, weights)
    predictor = Predictor(
        network, weights, config.data.eval_batch_size, explanations, is_frozen=len(paths) >= _MANY
    )
    failed = _write(predictor.predict(paths), len(paths), output)
    if predictor.brightest is not None and predictor.brightest <= 1:
        warn_of_unit_range()
    if config.explain:
        print(f"explained: {config.explain}")
    if output:
        print(f"predicted: {output}")
    if failed:
        raise UserError(f"{failed} of {len(paths)} files could not be read")


def _write(results: Iterable[dict], count: int, output: str | None) -> int:
    """Prints results and writes them to a file; how many of them are errors."""
    failed, is_printed = 0, output is None or count <= _MAX_PRINTED
    progress = Progress("predict", count, unit="image", enabled=not is_printed)
    file = PredictionFile(output) if output else None
    for number, result in enumerate(results, start=1):
        result = {**result, "file": data.shown(result["file"])}
        failed += "error" in result
        if file:
            file.write(result)
        if is_printed:
            print(_table(result))
        progress.update(number)
    progress.close()
    if file:
        file.close()
    return failed


def _table(result: dict) -> str:
    if "error" in result:
        return f"{result['file']}\n  {result['error']}"
    rows = (f"  {p['probability']:7.2%}  {p['name']}" for p in result["predictions"])
    return "\n".join([result["file"], *rows])
