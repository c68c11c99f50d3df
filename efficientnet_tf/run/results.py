"""The results of a run: `eval.jsonl`, the best checkpoint in `archive/`."""

import json

import tensorflow as tf

from efficientnet_tf.run.folder import RunFolder
from efficientnet_tf.weights.formats.run_checkpoint import BEST_FILE
from efficientnet_tf.weights.formats.tensor_bundle import bundle_files

_RESULTS = "eval.jsonl"
# What evaluations are compared by: a result has one of these.
_SCORES = ("top_1_accuracy", "mean_average_precision")


def results_by_step(folder: RunFolder) -> dict[int, dict]:
    """The last line of `eval.jsonl` for each step, in the order of the steps."""
    lines = (folder.read_text(_RESULTS) or "").splitlines()
    results = {result["step"]: result for result in map(json.loads, filter(None, lines))}
    return dict(sorted(results.items()))


def evaluations_since_best(folder: RunFolder) -> int:
    """How many evaluations there were after the best one."""
    scores = [score(result) for result in results_by_step(folder).values()]
    return len(scores) - 1 - scores.index(max(scores)) if scores else 0


def append_result(folder: RunFolder, result: dict) -> None:
    """Adds a line to `eval.jsonl`."""
    tf.io.gfile.makedirs(folder.path)
    with tf.io.gfile.GFile(folder.file(_RESULTS), "a") as file:
        file.write(json.dumps(result) + "\n")


def score(result: dict) -> float:
    """How good an evaluation is: mean average precision of several labels, top-1 of one."""
    return next(result[name] for name in _SCORES if name in result)


def archive_if_best(folder: RunFolder, prefix: str, result: dict) -> bool:
    """Copies a checkpoint to `archive/` if its score is the best so far; whether it was.

    The new files are complete before `archive/best.json` points at them, and only then the ones
    before are deleted.
    """
    text = folder.read_text(BEST_FILE)
    best = json.loads(text) if text else None
    if best and score(best) >= score(result):
        return False
    tf.io.gfile.makedirs(folder.file("archive"))
    name = prefix.rsplit("/", 1)[-1]
    for path in bundle_files(prefix):
        target = folder.file(f"archive/{path.rsplit('/', 1)[-1]}")
        tf.io.gfile.copy(path, target, overwrite=True)
    folder.write_text(BEST_FILE, json.dumps({**result, "checkpoint": name}) + "\n")
    folder.write_text("archive/checkpoint", f'model_checkpoint_path: "{name}"\n')
    if best and best["checkpoint"] != name:
        for path in bundle_files(folder.file(f"archive/{best['checkpoint']}")):
            tf.io.gfile.remove(path)
    return True
