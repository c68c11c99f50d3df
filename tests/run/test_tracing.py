"""What TensorFlow traces, which takes seconds, it traces once in a run."""

import dataclasses
from collections import Counter

import pytest
from helpers.toy import tiny_run

from efficientnet_tf.run.fit import fit
from efficientnet_tf.train.evaluator import Evaluator
from efficientnet_tf.train.step import TrainStep

pytestmark = pytest.mark.slow


def counted(function, counts, key):
    def wrapper(*args, **kwargs):
        counts[key] += 1
        return function(*args, **kwargs)

    return wrapper


def test_neither_a_short_last_call_nor_a_new_evaluation_is_traced_again(tmp_path, monkeypatch):
    traced = Counter()
    for owner, name in ((TrainStep, "__call__"), (Evaluator, "_measure")):
        monkeypatch.setattr(owner, name, counted(getattr(owner, name), traced, owner.__name__))
    config = tiny_run(tmp_path, train_steps=25)
    config = dataclasses.replace(config, train=dataclasses.replace(config.train, steps_per_eval=12))
    fit(config, verbose=False)
    assert len((tmp_path / "eval.jsonl").read_text().splitlines()) == 3
    assert traced == {"TrainStep": 1, "Evaluator": 1}
