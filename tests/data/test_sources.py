"""What each source offers, against the data themselves."""

import numpy as np
import pytest
from helpers.shard_writer import write_imagenet
from helpers.streams import config_for, eval_labels, train_batches
from sklearn.datasets import load_digits

from efficientnet_tf import data
from efficientnet_tf.arch.variants import model_config
from efficientnet_tf.config import DataConfig, UserError


@pytest.mark.slow
def test_digits_are_the_1797_of_scikit_learn_split_without_overlap():
    config = DataConfig(dataset="digits", image_size=32, resize_method="bicubic")
    source = data.open_source(config)
    assert (source.num_train_images, source.num_eval_images) == (1437, 360)
    assert source.label_names == list("0123456789")
    train = [source.read_train(i) for i in range(1437)]
    evaluation = [source.read_eval(i) for i in range(360)]
    # Undo border and magnification: every picture of the original set is there exactly once.
    small = [example.image.numpy()[4:36:4, 4:36:4, 0] for example in train + evaluation]
    labels = [int(example.label) for example in train + evaluation]
    original = load_digits()
    grey = np.round(original.images * 255 / 16)
    assert sorted(
        (label, image.tobytes()) for label, image in zip(labels, small, strict=True)
    ) == sorted(
        (label, image.astype(np.uint8).tobytes())
        for label, image in zip(original.target, grey, strict=True)
    )
    shares = np.bincount(labels[1437:]) / np.bincount(original.target)
    assert (abs(shares - 0.2) < 0.01).all()


def test_synthetic_is_deterministic_and_counts_like_imagenet():
    config = DataConfig(dataset="synthetic", image_size=32, resize_method="bicubic", num_classes=7)
    source = data.open_source(config)
    assert (source.num_train_images, source.num_eval_images) == (1281167, 50000)
    first, again = (next(iter(data.train_dataset(source, config, 4))) for _ in range(2))
    np.testing.assert_array_equal(first["image"], again["image"])
    assert first["image"].shape == (4, 32, 32, 3) and first["label"].shape == (4, 7)
    assert first["image"].numpy().min() >= 0 and 240 < first["image"].numpy().max() <= 255


@pytest.mark.parametrize("host_count", [1, 3])
def test_synthetic_evaluation_has_exactly_the_images_asked_for(host_count):
    config = DataConfig(
        dataset="synthetic", image_size=32, resize_method="bicubic", num_eval_images=37
    )
    source = data.open_source(config)
    labels = [
        eval_labels(config, source, 8, host_index=i, host_count=host_count)
        for i in range(host_count)
    ]
    assert sum(map(len, labels)) == 37


@pytest.mark.slow
def test_tfrecord_counts_and_maps_labels_from_one_to_zero(tmp_path):
    write_imagenet(tmp_path, "train", [4, 5])
    write_imagenet(tmp_path, "validation", [3, 0, 2])
    config = DataConfig(data_dir=str(tmp_path), image_size=32, resize_method="bicubic")
    source = data.open_source(config)
    assert (source.num_train_images, source.num_eval_images) == (9, 5)
    assert source.num_classes is None and (source.background(7), source.background(1001)) == (0, 1)
    assert data.train_dataset(source, config, 2).element_spec["label"].shape == (2, 1000)
    assert sorted(eval_labels(config, source)) == [0, 1, 2, 3, 4]


def test_a_background_is_one_class_more_than_the_data_have(tmp_path):
    write_imagenet(tmp_path, "train", [1])
    digits, eight, background = (
        data.open_source(config)
        for config in (
            DataConfig(dataset="digits"),
            DataConfig(data_dir=str(tmp_path), num_classes=8),
            DataConfig(data_dir=str(tmp_path), num_classes=1001),
        )
    )
    assert (digits.background(10), digits.background(11)) == (0, 1)
    assert (eight.num_classes, eight.background(8)) == (8, 0)
    assert (background.num_classes, background.background(1001)) == (1000, 1)
    for source in (digits, eight):
        with pytest.raises(UserError, match=f"--num_label_classes=12: {source.name} has"):
            source.background(12)


@pytest.mark.slow
@pytest.mark.parametrize("dataset", ["digits", "synthetic"])
@pytest.mark.parametrize("make", [data.train_dataset, data.eval_dataset])
def test_an_image_size_is_needed_only_for_images(dataset, make):
    config = DataConfig(dataset=dataset, train_batch_size=4)
    source = data.open_source(config)
    with pytest.raises(UserError, match=r"for_network\(en.model_config\(name\)\)"):
        make(source, config, 4)
    batch = next(iter(make(source, config.for_network(model_config("efficientnet-b1")), 4)))
    assert batch["image"].shape == (4, 240, 240, 3)


def test_nothing_said_is_synthetic_data():
    assert data.open_source(DataConfig()).name == "synthetic"


@pytest.mark.slow
def test_tfrecord_keeps_the_background_class_of_1001(tmp_path):
    write_imagenet(tmp_path, "validation", [3])
    config = DataConfig(
        data_dir=str(tmp_path), image_size=32, resize_method="bicubic", num_classes=1001
    )
    assert sorted(eval_labels(config)) == [1, 2, 3]


@pytest.mark.slow
def test_holdout_evaluates_on_leading_training_shards(tmp_path):
    write_imagenet(tmp_path, "train", [2, 3, 4])
    config = DataConfig(
        data_dir=str(tmp_path), image_size=32, resize_method="bicubic", holdout_shards=2
    )
    source = data.open_source(config)
    assert sorted(eval_labels(config, source)) == [0, 1, 2, 3, 4]
    assert source.num_train_images == 4
    with pytest.raises(UserError, match="--holdout_shards=3 must leave training shards"):
        data.open_source(DataConfig(data_dir=str(tmp_path), holdout_shards=3))


@pytest.mark.slow
def test_holdout_shards_are_subtracted_from_the_counts_of_a_flagfile(tmp_path):
    """ImageNet's flagfiles give the counts of all its images, as the original's defaults do."""
    write_imagenet(tmp_path, "train", [2, 3, 4])
    config = config_for(
        tmp_path, holdout_shards=2, num_train_images=9, num_eval_images=50000, use_cache=True
    )
    source = data.open_source(config)
    assert (source.num_train_images, source.num_eval_images) == (4, 5)
    labels = [batch["label"].numpy().argmax(1).tolist() for batch in train_batches(config, 2)]
    assert [sorted(epoch) for epoch in labels] == [[5, 6, 7, 8]] * 2
    assert sorted(eval_labels(config, source)) == [0, 1, 2, 3, 4]
    fewer = config_for(tmp_path, holdout_shards=2, num_eval_images=2)
    assert len(eval_labels(fewer)) == 2
    with pytest.raises(UserError, match="counts the 5 images of --holdout_shards=2 too"):
        data.open_source(config_for(tmp_path, holdout_shards=2, num_train_images=5))


@pytest.mark.slow
def test_validation_shards_alone_are_enough_to_evaluate(tmp_path):
    write_imagenet(tmp_path, "validation", [2])
    config = DataConfig(data_dir=str(tmp_path), image_size=32, resize_method="bicubic")
    source = data.open_source(config)
    assert source.num_train_images is None
    assert len(eval_labels(config, source)) == 2
    with pytest.raises(UserError, match="no training shards"):
        data.train_dataset(source, config, 2)


@pytest.mark.slow
@pytest.mark.parametrize("host_count", [2, 5])
@pytest.mark.parametrize("num_eval_images", [None, 7])
def test_evaluation_shards_are_disjoint_and_complete(tmp_path, host_count, num_eval_images):
    write_imagenet(tmp_path, "validation", [4, 1, 5])
    config = DataConfig(
        data_dir=str(tmp_path),
        image_size=32,
        resize_method="bicubic",
        num_eval_images=num_eval_images,
    )
    source = data.open_source(config)
    seen = [
        int(source.read_eval(raw).label)
        for shard in range(host_count)
        for raw in source.eval_stream(shard, host_count)
    ]
    assert len(seen) == len(set(seen)) == (num_eval_images or 10)
    assert num_eval_images or sorted(seen) == list(range(10))


def test_missing_shards_are_named(tmp_path):
    paths = write_imagenet(tmp_path, "train", [1] * 6)
    for path in paths[1:]:
        tmp_path.joinpath(path).unlink()
    with pytest.raises(UserError, match="5 of 6 train shards are missing: train-00001-of-00006"):
        data.open_source(DataConfig(data_dir=str(tmp_path)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": "tfrecord"}, "needs --data_dir"),
        ({"data_dir": "/nowhere"}, "--data_dir=/nowhere is not a folder"),
        ({"image_size": 31}, "--input_image_size=31 is less than 32"),
        ({"dataset": "digits", "num_classes": 12}, "digits has 10 classes, 11 with a background"),
        ({"dataset": "digits", "num_train_images": 2000}, "only 1437 images"),
        ({"resize_method": "nearest"}, "bicubic or bilinear"),
        ({"min_crop_area": 0.0}, "min_crop_area=0.0 is not in"),
    ],
)
def test_bad_settings_are_one_line(changes, message):
    with pytest.raises(UserError, match=message) as error:
        data.open_source(DataConfig(**changes)).num_train_images  # noqa: B018
    assert "\n" not in str(error.value)


def test_a_folder_without_shards_is_one_line(tmp_path):
    with pytest.raises(UserError, match="has no train-"):
        data.open_source(DataConfig(data_dir=str(tmp_path)))
