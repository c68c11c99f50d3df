"""The crops and resizes against the original's own output and against NumPy."""

import numpy as np
import pytest
import tensorflow as tf
from helpers.reference import reference_dir

from efficientnet_tf.data.pictures import preprocess
from efficientnet_tf.data.pictures.decode import decode_and_crop

CASES = reference_dir() / "preprocess"
EXPECTED = np.load(CASES / "preprocess_eval.npz")


@pytest.mark.slow
@pytest.mark.parametrize("case", sorted(EXPECTED))
@pytest.mark.parametrize("in_graph", [False, True])
def test_evaluation_crop_equals_the_original(case, in_graph):
    picture, _, size, method = case.split("_")

    def evaluate(encoded):
        image = decode_and_crop(encoded, preprocess.eval_box(int(size)))
        return preprocess.resize(image, int(size), method)

    encoded = tf.io.read_file(str(CASES / f"{picture}.jpg"))
    actual = (tf.function(evaluate) if in_graph else evaluate)(encoded)
    np.testing.assert_allclose(actual, EXPECTED[case], atol=0.01)


@pytest.mark.parametrize("size", [32, 224, 300, 600])
@pytest.mark.parametrize("shape", [(375, 500), (500, 375), (1, 1), (40, 1000), (33, 33)])
def test_center_box_is_the_padded_centre(shape, size):
    y, x, height, width = preprocess.center_box(tf.constant([*shape, 3]), size).numpy()
    padding = round(size * (1 / 0.875 - 1))
    assert height == width == max(1, int(np.float32(size / (size + padding)) * min(shape)))
    assert y == (shape[0] - height + 1) // 2 and x == (shape[1] - width + 1) // 2


def boxes(shape, count, min_area=0.08):
    seeds = tf.stack([tf.fill([count], 3), tf.range(count)], 1)
    return tf.map_fn(
        lambda seed: preprocess.random_box(tf.constant([*shape, 3]), 224, min_area, seed), seeds
    ).numpy()


@pytest.mark.slow
def test_random_boxes_stay_inside_and_keep_area_and_aspect():
    y, x, height, width = boxes((375, 500), 400).T
    assert (y >= 0).all() and (x >= 0).all()
    assert (y + height <= 375).all() and (x + width <= 500).all()
    area = height * width / (375 * 500)
    aspect = width / height
    assert area.min() >= 0.079 and area.max() <= 1 and area.min() < 0.15 and area.max() > 0.8
    assert aspect.min() >= 0.74 and aspect.max() <= 1.35
    # TensorFlow's op draws the height uniformly between its limits, so areas lean to the small.
    assert 0.33 < area.mean() < 0.45


@pytest.mark.slow
def test_min_area_is_obeyed():
    *_, height, width = boxes((300, 300), 200, min_area=0.7).T
    assert (height * width / 300**2 > 0.69).all()


def test_a_box_that_cannot_be_found_becomes_the_centre_crop():
    # A ribbon has no part with an aspect ratio in 3/4..4/3 and 90% of its area.
    expected = preprocess.center_box(tf.constant([10, 1000, 3]), 224).numpy()
    for box in boxes((10, 1000), 20, min_area=0.9):
        np.testing.assert_array_equal(box, expected)


def test_crop_of_a_decoded_image_is_a_slice():
    image = np.arange(20 * 30 * 3, dtype=np.uint8).reshape(20, 30, 3)
    actual = decode_and_crop(tf.constant(image), lambda shape: tf.constant([3, 5, 7, 11]))
    np.testing.assert_array_equal(actual, image[3:10, 5:16])


def test_flip_mirrors_half_of_the_seeds():
    image = tf.reshape(tf.range(12.0), [2, 2, 3])
    flipped = [
        bool((preprocess.random_flip(image, [9, i])[0, 0, 0] == image[0, 1, 0]).numpy())
        for i in range(200)
    ]
    assert 70 < sum(flipped) < 130
