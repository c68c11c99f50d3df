"""`--mode=eval` of many pictures runs the network without batch norm, and finds the same."""

import dataclasses
import json

import pytest
from helpers.toy import one_device, tiny_run, two_cpus

from efficientnet_tf.config import DistributionConfig
from efficientnet_tf.nn.layers import BatchNormalization
from efficientnet_tf.run import evaluation
from efficientnet_tf.run.fit import fit
from efficientnet_tf.run.session import open_session
from efficientnet_tf.train import distribute
from efficientnet_tf.train.evaluator import Evaluator

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that was evaluated at its end, and the result."""
    folder = tmp_path_factory.mktemp("run")
    config = tiny_run(folder, train_steps=8)
    fit(config, verbose=False)
    (line,) = (folder / "eval.jsonl").read_text().splitlines()
    return config, json.loads(line)


@pytest.fixture
def evaluated(monkeypatch):
    """The networks that evaluators get."""
    models, build = [], Evaluator.__init__
    monkeypatch.setattr(
        Evaluator,
        "__init__",
        lambda self, strategy, model, *rest, **named: (
            models.append(model) or build(self, strategy, model, *rest, **named)
        ),
    )
    return models


def has_batch_norm(model):
    return any(isinstance(layer, BatchNormalization) for layer in model._flatten_layers())


def evaluate(config):
    """The result of `--mode=eval` of the run's last checkpoint."""
    prefix = f"{config.train.model_dir}/ckpt-8"
    train = dataclasses.replace(config.train, init_checkpoint=prefix, model_dir=None)
    config = dataclasses.replace(config, train=train, mode="eval")
    session = open_session(config, training=False, verbose=False)
    (result,) = evaluation.evaluate(session)
    return result


@pytest.mark.parametrize("strategy", [one_device, two_cpus])
def test_results_are_those_of_the_training(run, strategy, evaluated, monkeypatch):
    config, expected = run
    monkeypatch.setattr(evaluation, "_MANY", 360)
    monkeypatch.setattr(distribute, "choose_strategy", lambda config: strategy())
    found = evaluate(config)
    assert found["loss"] == pytest.approx(expected["loss"], rel=1e-5)
    assert found["num_images"] == expected["num_images"] == 360
    assert found["top_1_accuracy"] == expected["top_1_accuracy"]
    assert [has_batch_norm(model) for model in evaluated] == [False]


@pytest.mark.parametrize("change", ["few images", "16 bits"])
def test_where_it_would_not_pay_or_change_results_batch_norm_stays(
    run, change, evaluated, monkeypatch
):
    config, _ = run
    if change == "16 bits":
        monkeypatch.setattr(evaluation, "_MANY", 360)
        config = dataclasses.replace(config, distribution=DistributionConfig(use_bfloat16=True))
    evaluate(config)
    assert [has_batch_norm(model) for model in evaluated] == [True]
