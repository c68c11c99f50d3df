"""The stream of batches: order, resumption, splitting, sharding."""

import dataclasses
from itertools import combinations

import numpy as np
import pytest
import tensorflow as tf
from helpers.shard_writer import write_imagenet

from efficientnet_tf import data
from efficientnet_tf.config import DataConfig
from efficientnet_tf.data.pipeline import calibration_dataset

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory):
    folder = tmp_path_factory.mktemp("imagenet")
    write_imagenet(folder, "train", [7, 5, 6, 5])
    return str(folder)


def configs(imagenet):
    digits = DataConfig(
        dataset="digits",
        image_size=32,
        resize_method="bicubic",
        train_batch_size=8,
        num_train_images=23,
    )
    records = DataConfig(
        data_dir=imagenet, image_size=32, resize_method="bicubic", train_batch_size=8
    )
    cached = DataConfig(
        data_dir=imagenet,
        image_size=32,
        resize_method="bicubic",
        train_batch_size=8,
        use_cache=True,
    )
    return {"digits": digits, "tfrecord": records, "cached": cached}


KINDS = ["digits", "tfrecord", "cached"]


def take(config, count, batch_size=8, **where):
    dataset = data.train_dataset(data.open_source(config), config, batch_size, **where)
    return [tf.nest.map_structure(np.asarray, batch) for batch in dataset.take(count)]


@pytest.fixture(scope="module")
def whole(imagenet):
    """The first nine batches of every kind: three epochs."""
    return {kind: take(config, 9) for kind, config in configs(imagenet).items()}


def assert_equal(actual, expected):
    for key in ("image", "label"):
        np.testing.assert_array_equal(
            np.concatenate([batch[key] for batch in actual]),
            np.concatenate([batch[key] for batch in expected]),
        )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("start", [1, 7])
def test_a_resumed_run_sees_the_batches_of_the_uninterrupted_one(imagenet, whole, kind, start):
    config = configs(imagenet)[kind]
    assert_equal(take(config, 9 - start, start_step=start), whole[kind][start:])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("global_seed", [0, 5])
def test_the_order_does_not_depend_on_the_global_seed(imagenet, whole, kind, global_seed):
    """A run sets TensorFlow's global seed, 0 by default, which tf.data's shuffle would mix in."""
    tf.random.set_seed(global_seed)
    assert_equal(take(configs(imagenet)[kind], 2), whole[kind][:2])


@pytest.mark.parametrize("kind", KINDS)
def test_small_batches_hold_the_examples_of_the_large_one(imagenet, whole, kind):
    assert_equal(take(configs(imagenet)[kind], 8, batch_size=4), whole[kind][:4])


@pytest.mark.parametrize("kind", KINDS)
def test_every_epoch_has_every_example_in_a_new_order(imagenet, kind):
    config = configs(imagenet)[kind]
    if kind == "digits":
        config = DataConfig(dataset="digits", image_size=32, resize_method="bicubic")
    source = data.open_source(config)
    size = source.num_train_images
    epochs = list(source.train_stream(0, 0, 0, 1).batch(size).take(3))
    assert [set(epoch["epoch"].numpy()) for epoch in epochs] == [{0}, {1}, {2}]
    orders = [names(source, epoch["raw"], size) for epoch in epochs]
    assert len(set(map(tuple, orders))) == 3
    assert all(sorted(order) == sorted(set(orders[0])) for order in orders)


def names(source, raws, count):
    """What a source calls the examples of a batch of its stream."""
    return [
        source.name_train(tf.nest.map_structure(lambda part, i=i: part[i], raws)).numpy()
        for i in range(count)
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_another_seed_gives_another_order(imagenet, whole, kind):
    config = dataclasses.replace(configs(imagenet)[kind], seed=1)
    assert not np.array_equal(take(config, 1)[0]["label"], whole[kind][0]["label"])


def test_shards_of_an_indexed_source_make_up_the_unsharded_stream(imagenet, whole):
    config = configs(imagenet)["digits"]
    for i in (0, 1):
        where = {"batch_size": 4, "host_index": i, "host_count": 2}
        part = take(config, 6, **where)
        for batch, half in zip(whole["digits"], part, strict=False):
            np.testing.assert_array_equal(batch["image"][i::2], half["image"])
        assert_equal(take(config, 2, start_step=4, **where), part[4:])


@pytest.mark.parametrize("kind", ["tfrecord", "cached"])
@pytest.mark.parametrize("host_count", [2, 5])
def test_record_shards_share_an_epoch_without_overlap(imagenet, kind, host_count):
    source = data.open_source(configs(imagenet)[kind])
    per_epoch = 23 // host_count
    seen, draws = [], []
    for shard in range(host_count):
        epoch = next(iter(source.train_stream(0, 0, shard, host_count).batch(per_epoch)))
        seen.append(set(names(source, epoch["raw"], per_epoch)))
        draws += epoch["index"].numpy().tolist()
    # Two hosts have whole files: the longer share leaves out what the shorter lacks.
    assert all(not one & other for one, other in combinations(seen, 2))
    assert host_count == 2 or len(set.union(*seen)) == 5 * per_epoch
    assert len(set(draws)) == len(draws) == host_count * per_epoch


def test_the_cache_replaces_the_files_after_the_first_epoch(tmp_path):
    (path,) = write_imagenet(tmp_path, "train", [6])
    config = DataConfig(
        data_dir=str(tmp_path), image_size=32, resize_method="bicubic", use_cache=True, seed=3
    )
    stream = data.open_source(config).train_stream(3, 0, 0, 1)
    epochs = iter(stream.batch(6))
    first = next(epochs)
    tmp_path.joinpath(path).unlink()
    second = next(epochs)
    assert sorted(first["raw"]["number"].numpy()) == sorted(second["raw"]["number"].numpy())


def test_shapes_are_static():
    config = DataConfig(dataset="digits", image_size=48, resize_method="bicubic")
    source = data.open_source(config)
    train = data.train_dataset(source, config, 5).element_spec
    assert train["image"] == tf.TensorSpec([5, 48, 48, 3], tf.float32)
    assert train["label"] == tf.TensorSpec([5, 10], tf.float32)
    evaluation = data.eval_dataset(source, config, 5).element_spec
    assert evaluation["image"] == tf.TensorSpec([5, 48, 48, 3], tf.float32)
    assert evaluation["label"] == tf.TensorSpec([5], tf.int32)


def test_nobody_waits_for_a_tuner_of_the_pipeline():
    """Its thread ends at its next round only, which for a busy processor is seconds later."""
    config = DataConfig(dataset="digits", image_size=32, resize_method="bicubic")
    source = data.open_source(config)
    for make in (data.train_dataset, data.eval_dataset, calibration_dataset):
        assert make(source, config, 5).options().autotune.enabled is False


def test_a_background_class_shifts_labels_by_one():
    config = DataConfig(dataset="digits", image_size=32, resize_method="bicubic", num_classes=11)
    source = data.open_source(config)
    batch = next(iter(data.eval_dataset(source, config, 40)))
    expected = [int(source.read_eval(i).label) + 1 for i in range(40)]
    np.testing.assert_array_equal(batch["label"], expected)
    assert take(config, 1)[0]["label"].shape == (8, 11)


@pytest.mark.parametrize(
    "changes",
    [
        {"augment_name": "autoaugment"},
        {"augment_name": "randaugment", "random_erasing": 0.5},
        {"mixup_alpha": 0.2, "cutmix_alpha": 1.0, "max_bad_examples": 1},
    ],
)
def test_augmentation_changes_pictures_and_resumes_exactly(changes):
    digits = {
        "dataset": "digits",
        "image_size": 32,
        "resize_method": "bicubic",
        "train_batch_size": 8,
    }
    config = DataConfig(**digits, **changes)
    whole = take(config, 3)
    assert_equal(take(config, 1, start_step=2), whole[2:])
    plain = take(DataConfig(**digits), 3)
    changed = [
        not np.array_equal(image, other)
        for batch, bare in zip(whole, plain, strict=True)
        for image, other in zip(batch["image"], bare["image"], strict=True)
    ]
    assert sum(changed) > 12
    for batch in whole:
        assert batch["image"].shape == (8, 32, 32, 3)
        np.testing.assert_allclose(batch["label"].sum(1), 1, rtol=1e-6)


@pytest.mark.parametrize("kind", ["digits", "tfrecord"])
def test_images_cross_to_the_device_in_its_type(imagenet, whole, kind):
    """Rounded to 8 significant bits; the pixels of a policy are whole, and stay as they are."""
    config = configs(imagenet)[kind]
    for batch, exact in zip(take(config, 2, image_dtype="bfloat16"), whole[kind], strict=False):
        assert batch["image"].dtype == tf.bfloat16.as_numpy_dtype
        np.testing.assert_allclose(batch["image"].astype("float32"), exact["image"], rtol=2**-8)
        np.testing.assert_array_equal(batch["label"], exact["label"])
    if kind == "tfrecord":
        config = dataclasses.replace(config, augment_name="autoaugment")
        (rounded,), (exact,) = take(config, 1, image_dtype="bfloat16"), take(config, 1)
        np.testing.assert_array_equal(rounded["image"].astype("float32"), exact["image"])
