"""The order of examples that are fetched by number: a new and unrelated one every epoch."""

import numpy as np
import pytest
import tensorflow as tf

from efficientnet_tf import data
from efficientnet_tf.config import DataConfig
from efficientnet_tf.data.sources.source import shuffled_index

CLASSES = 10
SIGMAS = 5


def deviation(classes, others):
    """How many standard deviations the share of equal classes is away from chance."""
    chance = 1 / CLASSES
    return (np.mean(classes == others) - chance) / np.sqrt(chance * (1 - chance) / len(classes))


@pytest.mark.parametrize("size", [10_000, 50_000, 65_536, 200_000, 1_281_167])
def test_neighbouring_epochs_and_places_are_not_correlated(size):
    places = tf.range(size, dtype=tf.int64)
    orders = [shuffled_index(places, size, 0, tf.constant(epoch, tf.int64)) for epoch in range(4)]
    for order in orders:
        assert (np.bincount(order) == 1).all()
    epochs = [order.numpy() * CLASSES // size for order in orders]
    pairs = [*zip(epochs, epochs[1:], strict=False), *zip(epochs, epochs[2:], strict=False)]
    pairs += [(epoch[1:], epoch[:-1]) for epoch in epochs]
    assert max(abs(deviation(*pair)) for pair in pairs) < SIGMAS


def test_neighbouring_seeds_are_not_correlated():
    places, size = tf.range(50_000, dtype=tf.int64), 50_000
    first, second = (
        shuffled_index(places, size, seed, tf.constant(0, tf.int64)).numpy() * CLASSES // size
        for seed in (0, 1)
    )
    assert abs(deviation(first, second)) < SIGMAS


def test_a_stream_has_this_order():
    source = data.open_source(DataConfig(dataset="digits"))
    size = source.num_train_images
    stream = source.train_stream(3, size, 0, 1).batch(size)
    (epoch,) = stream.take(1)
    expected = shuffled_index(tf.range(size, dtype=tf.int64), size, 3, tf.constant(1, tf.int64))
    np.testing.assert_array_equal(epoch["raw"], expected)
    assert source.order_version == data.ORDER_VERSION == 2


@pytest.mark.parametrize("host_count", [1, 3])
def test_some_evaluation_images_are_of_all_classes_and_the_same_everywhere(host_count):
    config = DataConfig(dataset="digits", num_eval_images=100)
    source = data.open_source(config)
    seen = [int(raw) for host in range(host_count) for raw in source.eval_stream(host, host_count)]
    labels = [int(source.read_eval(raw).label) for raw in seen]
    assert len(set(seen)) == 100
    everything = [int(source.read_eval(raw).label) for raw in range(360)]
    expected = np.bincount(everything) * 100 / 360
    assert abs(np.bincount(labels, minlength=10) - expected).max() <= 1
    assert sorted(seen)[:5] == [1, 5, 8, 12, 15]  # a run evaluates what an earlier one evaluated
    other_seed = data.open_source(DataConfig(dataset="digits", num_eval_images=100, seed=7))
    assert {int(raw) for raw in other_seed.eval_stream(0, 1)} == set(seen)
