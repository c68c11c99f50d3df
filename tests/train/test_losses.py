"""The objectives against Keras and NumPy, their class weights, and what a step makes of them."""

import dataclasses

import keras
import numpy as np
import pytest
from helpers.toy import BATCH, NO_DROPOUT, one_device, toy_loop, toy_step, two_cpus

from efficientnet_tf.train import losses

CLASSES = 7
LOGITS = np.random.RandomState(0).normal(scale=3, size=[16, CLASSES]).astype("float32")
MULTI_HOT = np.random.RandomState(1).randint(0, 2, [16, CLASSES]).astype("float32")
MULTI_HOT[0] = 0
MIXED = 0.7 * MULTI_HOT + 0.3 * MULTI_HOT[::-1]
WEIGHTS = np.linspace(0.5, 3, CLASSES)


def sigmoid(x):
    return 1 / (1 + np.exp(-np.float64(x)))


@pytest.mark.parametrize("labels", [MULTI_HOT, MIXED], ids=["multi-hot", "mixed"])
def test_binary_and_focal_cross_entropy_are_keras(labels):
    binary = keras.losses.BinaryCrossentropy(from_logits=True, reduction=None)
    focal = keras.losses.BinaryFocalCrossentropy(
        apply_class_balancing=True, alpha=0.25, gamma=2.0, from_logits=True, reduction=None
    )
    for ours, theirs in (
        (losses.binary_cross_entropy, binary),
        (losses.focal_cross_entropy, focal),
    ):
        np.testing.assert_allclose(
            ours(labels, LOGITS, 0.0), theirs(labels, LOGITS), rtol=1e-4, atol=1e-6
        )


def test_binary_smoothing_is_timms_and_with_two_classes_or_one_keras():
    """timm 1.0, `BinaryCrossEntropy`: off is smoothing / classes, on is 1 - smoothing + off."""
    one_hot = np.eye(CLASSES, dtype="float32")[[0, 3, 6, 2]]
    logits = LOGITS[:4]
    targets = np.where(one_hot, 1 - 0.1 + 0.1 / CLASSES, 0.1 / CLASSES)
    p = sigmoid(logits)
    expected = -(targets * np.log(p) + (1 - targets) * np.log(1 - p)).mean(-1)
    np.testing.assert_allclose(
        losses.binary_cross_entropy(one_hot, logits, 0.1), expected, rtol=1e-5
    )
    theirs = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.1, reduction=None)
    for classes in (1, 2):
        labels, logits = MULTI_HOT[:, :classes], LOGITS[:, :classes]
        ours = losses.binary_cross_entropy(labels, logits, 0.1)
        np.testing.assert_allclose(ours, theirs(labels, logits), rtol=1e-5)


def test_class_weights_multiply_the_example_or_the_positive_term():
    labels = np.eye(CLASSES, dtype="float32")[np.arange(16) % CLASSES]
    plain = losses.cross_entropy(labels, LOGITS, 0.1)
    weighted = losses.cross_entropy(labels, LOGITS, 0.1, WEIGHTS)
    np.testing.assert_allclose(weighted / plain, WEIGHTS[np.arange(16) % CLASSES], rtol=1e-5)
    mixture = 0.7 * labels + 0.3 * labels[::-1]
    ratio = losses.cross_entropy(mixture, LOGITS, 0.0, WEIGHTS) / losses.cross_entropy(
        mixture, LOGITS, 0.0
    )
    np.testing.assert_allclose(ratio, mixture @ WEIGHTS, rtol=1e-5)
    p = sigmoid(LOGITS)
    terms = WEIGHTS * MULTI_HOT * np.log(p) + (1 - MULTI_HOT) * np.log(1 - p)
    np.testing.assert_allclose(
        losses.binary_cross_entropy(MULTI_HOT, LOGITS, 0.0, WEIGHTS), -terms.mean(-1), rtol=1e-4
    )


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["softmax", "focal"])
def test_two_replicas_with_class_weights_equal_one_device(loss):
    def run(strategy):
        step = toy_step(strategy, batch_norm_replicas=2, **NO_DROPOUT)
        config = dataclasses.replace(step.config, loss=loss)
        step = dataclasses.replace(step, config=config, class_weights=np.linspace(0.2, 2, 10))
        return [row["loss"] for row in toy_loop(strategy, step).run(2)]

    np.testing.assert_allclose(run(one_device()), run(two_cpus()), rtol=1e-5)


@pytest.mark.slow
def test_of_several_labels_the_measures_ask_for_one():
    step = toy_step(one_device())
    logits = np.zeros([BATCH, 10], "float32")
    logits[:, 3] = 1
    labels = np.zeros([BATCH, 10], "float32")
    labels[:4, [2, 3]] = 1  # a hit
    labels[4:8, [2, 5]] = 1  # not the first
    labels[8:, :] = 0  # nothing to hit
    top_1, _ = step._accuracies(labels, logits)
    assert float(top_1) == 4 / BATCH
