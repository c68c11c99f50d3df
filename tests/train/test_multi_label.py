"""Evaluation of several labels an image, against scikit-learn."""

import keras
import numpy as np
import pytest
import sklearn.metrics
import tensorflow as tf
from helpers.toy import one_device, two_cpus

from efficientnet_tf.train.multi_label import MultiLabelEvaluator

IMAGES, CLASSES, BATCH = 500, 6, 64


class Scores(keras.layers.Layer):
    """A network whose logits are the first pixels of the image."""

    def call(self, images):
        return images[:, 0, :CLASSES, 0]


def examples(scale):
    """Scores that tell a little about labels, from rare to frequent; the last class has none."""
    random = np.random.RandomState(0)
    labels = random.uniform(size=[IMAGES, CLASSES]) < [0.02, 0.1, 0.3, 0.5, 0.9, 0.0]
    logits = scale * (random.normal(size=labels.shape) + labels) - 2
    return logits.astype("float32"), labels.astype("float32")


def evaluate(strategy, logits, labels):
    padding = -len(logits) % BATCH
    images = np.zeros([IMAGES + padding, 1, CLASSES, 3], "float32")
    images[:IMAGES, 0, :, 0] = logits
    labels = np.pad(labels, [[0, padding], [0, 0]], constant_values=-1)
    dataset = tf.data.Dataset.from_tensor_slices({"image": images, "label": labels})
    dataset = strategy.experimental_distribute_dataset(dataset.batch(BATCH, drop_remainder=True))
    with strategy.scope():
        inputs = keras.Input([1, CLASSES, 3])
        model = keras.Model(inputs, Scores()(inputs))
    evaluator = MultiLabelEvaluator(
        strategy, model, dataset, BATCH, IMAGES, verbose=False, loss="sigmoid"
    )
    evaluator.evaluate()
    return evaluator.evaluate()  # the second must not contain the first


@pytest.mark.parametrize("scale", [0.05, 1.0, 10.0])
@pytest.mark.parametrize("strategy", [one_device, two_cpus])
def test_evaluation_is_what_scikit_learn_computes(strategy, scale):
    logits, labels = examples(scale)
    result = evaluate(strategy(), logits, labels)
    there = labels.any(0)
    expected = sklearn.metrics.average_precision_score(labels[:, there], logits[:, there])
    assert result.mean_average_precision == pytest.approx(expected, abs=0.003)
    assert result.subset_accuracy == pytest.approx(
        sklearn.metrics.accuracy_score(labels, logits > 0), abs=1e-6
    )
    assert result.label_accuracy == pytest.approx(
        1 - sklearn.metrics.hamming_loss(labels, logits > 0), abs=1e-6
    )
    losses = keras.losses.binary_crossentropy(labels, logits, from_logits=True)
    assert result.loss == pytest.approx(float(np.mean(losses)), rel=1e-5)
    assert result.num_images == IMAGES
