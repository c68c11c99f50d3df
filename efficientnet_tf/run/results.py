"""The results of a run: `eval.jsonl`, the best checkpoint in `archive/`."""

import json
import math
import sys

import tensorflow as tf

from efficientnet_tf.run.folder import RunFolder
from efficientnet_tf.weights.formats.run_checkpoint import (
    BEST_FILE,
    checkpoint_step,
    list_checkpoints,
)
from efficientnet_tf.weights.formats.tensor_bundle import bundle_files

_RESULTS = "eval.jsonl"
# What evaluations are compared by: a result has one of these.
_SCORES = ("top_1_accuracy", "mean_average_precision")


class FileGone(Exception):
    """A checkpoint was deleted while it was being copied, by the run that it is of."""


def results_by_step(folder: RunFolder) -> dict[int, dict]:
    """The last line of `eval.jsonl` for each step, in the order of the steps.

    Lines that a full disk or a lost machine has damaged are left out, with a word.
    """
    lines = [line for line in (folder.read_text(_RESULTS) or "").splitlines() if line.strip()]
    results = [result for line in lines if (result := _result(line)) and "step" in result]
    if damaged := len(lines) - len(results):
        print(f"{folder.file(_RESULTS)}: {damaged} damaged lines left out", file=sys.stderr)
    last = {result["step"]: result for result in results}
    return {step: last[step] for step in sorted(last)}


def _result(text: str) -> dict | None:
    """An evaluation's result, None from damaged text."""
    try:
        result = json.loads(text)
    except ValueError:
        return None
    return result if isinstance(result, dict) and any(name in result for name in _SCORES) else None


def evaluations_since_best(folder: RunFolder) -> int:
    """How many evaluations there were after the best one."""
    scores = [score(result) for result in results_by_step(folder).values()]
    return len(scores) - 1 - scores.index(max(scores)) if scores else 0


def append_result(folder: RunFolder, result: dict) -> None:
    """Adds a line to `eval.jsonl`."""
    tf.io.gfile.makedirs(folder.path)
    before = folder.read_text(_RESULTS)
    end_of_torn_line = "\n" if before and not before.endswith("\n") else ""
    with folder.writing(_RESULTS), tf.io.gfile.GFile(folder.file(_RESULTS), "a") as file:
        file.write(f"{end_of_torn_line}{json.dumps(_in_json(result))}\n")


def _in_json(result: dict) -> dict:
    """JSON has no NaN or infinity: null stands for them."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in result.items()
    }


def score(result: dict) -> float:
    """How good an evaluation is: mean average precision of several labels, top-1 of one."""
    value = next(result[name] for name in _SCORES if name in result)
    return -math.inf if value is None else value


def archive_if_best(folder: RunFolder, prefix: str, result: dict) -> bool:
    """Copies a checkpoint to `archive/` if its score is the best so far; whether it was.

    An evaluation with a number that is not finite is never the best.

    The new files are complete before `archive/best.json` points at them, and only then the ones
    before are deleted.
    """
    if result != _in_json(result):
        return False
    best = _best(folder)
    if best and score(best) >= score(result):
        return False
    name = prefix.rsplit("/", 1)[-1]
    with folder.writing("archive"):
        tf.io.gfile.makedirs(folder.file("archive"))
        for path in bundle_files(prefix):
            target = folder.file(f"archive/{path.rsplit('/', 1)[-1]}")
            try:
                tf.io.gfile.copy(path, target, overwrite=True)
            except tf.errors.NotFoundError:
                raise FileGone(path) from None
    folder.write_text(BEST_FILE, json.dumps({**result, "checkpoint": name}) + "\n")
    folder.write_text("archive/checkpoint", f'model_checkpoint_path: "{name}"\n')
    if best and best["checkpoint"] != name:
        for path in bundle_files(folder.file(f"archive/{best['checkpoint']}")):
            tf.io.gfile.remove(path)
    return True


def _best(folder: RunFolder) -> dict | None:
    """The content of `archive/best.json`, None before the first; if damaged, from `eval.jsonl`."""
    text = folder.read_text(BEST_FILE)
    if text is None:
        return None
    best = _result(text)
    if best and "checkpoint" in best:
        return best
    results = results_by_step(folder)
    archived = list_checkpoints(folder.file("archive"))
    known = [prefix for prefix in archived if checkpoint_step(prefix) in results]
    found = f"taken from {_RESULTS}" if known else "it begins anew"
    print(f"{folder.file(BEST_FILE)} is damaged: {found}", file=sys.stderr)
    if not known:
        return None
    best = results[checkpoint_step(known[0])]
    best = {**best, "checkpoint": known[0].rpartition("/")[2]}
    folder.write_text(BEST_FILE, json.dumps(best) + "\n")
    return best
