"""What evaluations find out beside the accuracy is what scikit-learn and NumPy find out."""

import numpy as np
import pytest
import tensorflow as tf
from helpers.toy import DATA, one_device, toy_step, two_cpus
from PIL import Image
from sklearn.metrics import confusion_matrix

from efficientnet_tf import data
from efficientnet_tf.train.confusion import ConfusionMatrix
from efficientnet_tf.train.evaluator import Evaluator
from efficientnet_tf.train.worst_pictures import WorstPictures

BATCH = 56  # 360 digits are six batches and a part


def evaluator(strategy, model, observers=()):
    source = data.open_source(DATA)

    def pipeline(context):
        return data.eval_dataset(source, DATA, BATCH // strategy.num_replicas_in_sync)

    dataset = strategy.distribute_datasets_from_function(pipeline)
    return Evaluator(strategy, model, dataset, BATCH, 360, observers=observers)


@pytest.mark.slow
@pytest.mark.parametrize("get_strategy", [one_device, two_cpus])
def test_observers_on_digits(get_strategy):
    strategy = get_strategy()
    model = toy_step(strategy).model
    matrix, worst = ConfusionMatrix(strategy, 10), WorstPictures(strategy, 32)
    observed = evaluator(strategy, model, (matrix, worst))
    observed.evaluate()
    result = observed.evaluate()  # the first pass is forgotten

    (batch,) = data.eval_dataset(data.open_source(DATA), DATA, 360).take(1).as_numpy_iterator()
    logits = np.float64(model(batch["image"]).numpy())
    labels, predicted = batch["label"], logits.argmax(-1)
    np.testing.assert_array_equal(matrix.read(), confusion_matrix(labels, predicted))

    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    probabilities = exponentials / exponentials.sum(-1, keepdims=True)
    wrong = np.flatnonzero(labels != predicted)
    order = wrong[np.argsort(-probabilities[wrong].max(-1))][: len(worst.read())]
    assert len(order) == 24
    for picture, index in zip(worst.read(), order, strict=True):
        assert (picture.label, picture.predicted) == (labels[index], predicted[index])
        assert picture.predicted_probability == pytest.approx(probabilities[index].max(), rel=1e-4)
        assert picture.label_probability == pytest.approx(
            probabilities[index, labels[index]], rel=1e-4
        )
        np.testing.assert_array_equal(picture.image, np.rint(batch["image"][index].clip(0, 255)))

    plain = evaluator(strategy, model).evaluate()
    for name in ("loss", "top_1_accuracy", "top_5_accuracy", "num_images"):
        assert getattr(result, name) == getattr(plain, name)


def test_a_class_that_shares_the_first_place_is_right_as_top_1_has_it():
    matrix = ConfusionMatrix(one_device(), 3)
    matrix.add(
        None, tf.constant([2, 0, 1]), tf.constant([[0.0] * 3, [0, 1, 1], [9, 0, 0]]), [1.0, 1, 0]
    )
    np.testing.assert_array_equal(matrix.read(), [[0, 1, 0], [0, 0, 0], [0, 0, 1]])


def test_large_pictures_are_shrunk_and_right_ones_not_kept():
    images = np.random.RandomState(0).randint(0, 256, [3, 320, 320, 3]).astype("uint8")
    worst = WorstPictures(one_device(), 320)
    logits = tf.constant([[0.0, 9.0], [0.0, 5.0], [0.0, 3.0]])
    worst.add(
        tf.constant(images, tf.float32), tf.constant([1, 0, 0]), logits, tf.constant([1.0, 1, 0])
    )
    (picture,) = worst.read()
    assert picture.image.shape == (160, 160, 3)
    expected = np.asarray(Image.fromarray(images[1]).reduce(2), int)
    assert abs(picture.image - expected).max() <= 1
