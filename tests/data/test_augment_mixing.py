"""Mixup, CutMix and random erasing: weights, labels, distribution, and pure functions of a seed."""

import numpy as np
import pytest
import tensorflow as tf

from efficientnet_tf.config import DataConfig
from efficientnet_tf.data.augment.erasing import random_erasing
from efficientnet_tf.data.augment.mixing import mix

SIZE, SIDE, CLASSES = 64, 24, 64
# Image i is i everywhere, so that a pixel tells where it came from and a mean tells the weight.
IMAGES = np.broadcast_to(
    np.arange(SIZE, dtype=np.float32)[:, None, None, None], (SIZE, SIDE, SIDE, 3)
)
LABELS = np.eye(SIZE, CLASSES, dtype=np.float32)
PARTNER = np.arange(SIZE)[::-1]


def mixed(seed=(1, 2), labels=LABELS, **alphas):
    images, labels = mix(tf.constant(IMAGES), tf.constant(labels), DataConfig(**alphas), seed)
    return images.numpy(), labels.numpy()


def test_off_by_default():
    images, labels = mixed()
    np.testing.assert_array_equal(images, IMAGES)
    np.testing.assert_array_equal(labels, LABELS)


def test_mixup_blends_with_the_reversed_batch_by_the_labels_weights():
    images, labels = mixed(mixup_alpha=0.4)
    weights = labels[np.arange(SIZE), np.arange(SIZE)]
    assert np.all(weights >= 0.5) and len(np.unique(weights)) > SIZE / 2
    np.testing.assert_allclose(
        labels, weights[:, None] * LABELS + (1 - weights)[:, None] * LABELS[::-1]
    )
    expected = weights * np.arange(SIZE) + (1 - weights) * PARTNER
    np.testing.assert_allclose(
        images, np.broadcast_to(expected[:, None, None, None], images.shape), rtol=1e-5
    )


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_mixup_weights_are_beta_distributed(alpha):
    from_us = np.concatenate([np.diag(mixed((0, i), mixup_alpha=alpha)[1]) for i in range(60)])
    drawn = np.random.default_rng(0).beta(alpha, alpha, 200_000)
    expected = np.maximum(drawn, 1 - drawn)
    quantiles = np.linspace(0.05, 0.95, 10)
    np.testing.assert_allclose(
        np.quantile(from_us, quantiles), np.quantile(expected, quantiles), atol=0.04
    )


def test_cutmix_pastes_one_box_and_labels_follow_its_area():
    images, labels = mixed(cutmix_alpha=1.0)
    own = images == IMAGES
    assert np.all(own | (images == IMAGES[::-1]))
    pasted = ~own[..., 0]
    for image in pasted:
        rows, columns = image.any(1), image.any(0)
        np.testing.assert_array_equal(image, rows[:, None] & columns)
        for line in (rows, columns):
            assert np.sum(np.diff(np.pad(line, 1).astype(int)) == 1) <= 1
    np.testing.assert_allclose(np.diag(labels), 1 - pasted.mean((1, 2)), atol=1e-6)
    np.testing.assert_allclose(labels.sum(1), 1, atol=1e-6)
    assert 0.2 < pasted.mean() < 0.6


@pytest.mark.slow
def test_both_toss_a_coin():
    kinds = [
        np.all(mixed((5, i), mixup_alpha=0.5, cutmix_alpha=1.0)[0] % 1 == 0) for i in range(60)
    ]
    assert 15 < sum(kinds) < 45


def test_label_smoothing_commutes():
    smooth = lambda labels: labels * 0.9 + 0.1 / CLASSES  # noqa: E731
    np.testing.assert_allclose(
        mixed(labels=smooth(LABELS), mixup_alpha=0.4)[1],
        smooth(mixed(mixup_alpha=0.4)[1]),
        atol=1e-6,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "alphas",
    [{"mixup_alpha": 0.2}, {"cutmix_alpha": 1.0}, {"mixup_alpha": 0.2, "cutmix_alpha": 1.0}],
)
def test_pure_function_of_the_seed_also_in_tf_data(alphas):
    config = DataConfig(**alphas)
    dataset = tf.data.Dataset.range(3).map(
        lambda i: mix(
            tf.constant(IMAGES), tf.constant(LABELS), config, tf.stack([9, tf.cast(i, tf.int32)])
        )
    )
    assert dataset.element_spec[0].shape == IMAGES.shape
    results = list(dataset.as_numpy_iterator())
    for i, (images, labels) in enumerate(results):
        np.testing.assert_allclose(images, mixed((9, i), **alphas)[0], atol=1e-4)
        np.testing.assert_allclose(labels, mixed((9, i), **alphas)[1], atol=1e-6)
    assert not np.array_equal(results[0][0], results[1][0])


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_erasing_covers_a_box_with_noise(dtype):
    image = np.full((50, 70, 3), 300 if dtype == "float32" else 77, dtype)
    areas, centres = [], []
    for i in range(150):
        erased = random_erasing(tf.constant(image), 1.0, (1, i)).numpy()
        assert erased.dtype == dtype and erased.shape == image.shape
        hidden = (erased != image).any(-1)
        rows, columns = hidden.any(1), hidden.any(0)
        assert np.mean(hidden[rows][:, columns]) > 0.99  # noise may hit the old value
        areas.append(rows.sum() * columns.sum() / hidden.size)
        centres.append((np.mean(np.nonzero(rows)), np.mean(np.nonzero(columns))))
        assert erased[hidden].min() >= 0 and erased[hidden].max() <= 255
    assert 0.01 < min(areas) < 0.06 and 0.27 < max(areas) < 0.36
    np.testing.assert_allclose(np.mean(areas), (0.02 + 1 / 3) / 2, atol=0.03)
    np.testing.assert_allclose(np.mean(centres, 0), (24.5, 34.5), atol=3)


@pytest.mark.slow
def test_erasing_happens_with_its_probability_and_repeats():
    image = tf.constant(np.full((8, 8, 3), 300, np.float32))
    erase = lambda i: random_erasing(image, 0.25, tf.stack([3, tf.cast(i, tf.int32)]))  # noqa: E731
    results = list(tf.data.Dataset.range(1000).map(erase).as_numpy_iterator())
    hits = sum(not np.all(result == 300) for result in results)
    assert abs(hits - 250) < 5 * np.sqrt(1000 * 0.25 * 0.75)
    for i in range(0, 1000, 250):
        np.testing.assert_array_equal(results[i], erase(i))
