"""Evaluation counts every image once, on any number of replicas, and is what NumPy computes."""

import numpy as np
import pytest
import tensorflow as tf
from helpers.toy import DATA, one_device, toy_step, two_cpus

from efficientnet_tf import data
from efficientnet_tf.train.evaluator import Evaluator

pytestmark = pytest.mark.slow

BATCH = 56  # 360 digits are six batches and a part


def evaluate(strategy, model, dataset=None, num_images=None):
    source = data.open_source(DATA)

    def pipeline(context):
        return data.eval_dataset(source, DATA, BATCH // strategy.num_replicas_in_sync)

    dataset = dataset or strategy.distribute_datasets_from_function(pipeline)
    return Evaluator(strategy, model, dataset, BATCH, num_images).evaluate()


def expected(model):
    source = data.open_source(DATA)
    (batch,) = data.eval_dataset(source, DATA, 360).take(1).as_numpy_iterator()
    logits = np.float64(model(batch["image"]).numpy())
    labels = batch["label"]
    shifted = logits - logits.max(-1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    ranks = np.argsort(-logits, axis=-1)
    loss = -logs[np.arange(360), labels].mean()
    top_5 = (ranks[:, :5] == labels[:, None]).any(-1).mean()
    return loss, (ranks[:, 0] == labels).mean(), top_5


@pytest.mark.parametrize("strategy", [one_device, two_cpus])
@pytest.mark.parametrize("num_images", [None, 360])
def test_evaluation_is_what_numpy_computes(strategy, num_images, capsys):
    model = toy_step(strategy()).model
    result = evaluate(strategy(), model, num_images=num_images)
    loss, top_1, top_5 = expected(model)
    assert result.num_images == 360
    assert result.loss == pytest.approx(loss, rel=1e-4)
    assert result.top_1_accuracy == pytest.approx(top_1, abs=1e-6)
    assert result.top_5_accuracy == pytest.approx(top_5, abs=1e-6)
    assert capsys.readouterr().err == ""


def test_pictures_in_0_to_1_are_warned_of(capsys):
    model = toy_step(one_device()).model
    batch = {"image": tf.ones([BATCH, 32, 32, 3]), "label": tf.zeros([BATCH], tf.int32)}
    evaluate(one_device(), model, tf.data.Dataset.from_tensors(batch), num_images=BATCH)
    assert capsys.readouterr().err == (
        "warning: no pixel is above 1; the network expects RGB in 0..255\n"
    )
