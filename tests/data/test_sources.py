"""What each source offers, against the data themselves."""

import numpy as np
import pytest
from helpers.shard_writer import write_imagenet
from helpers.streams import eval_labels
from sklearn.datasets import load_digits

from efficientnet_tf import data
from efficientnet_tf.config import DataConfig, UserError


def test_digits_are_the_1797_of_scikit_learn_split_without_overlap():
    config = DataConfig(dataset="digits", image_size=32)
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
    config = DataConfig(dataset="synthetic", image_size=32, num_classes=7)
    source = data.open_source(config)
    assert (source.num_train_images, source.num_eval_images) == (1281167, 50000)
    first, again = (next(iter(data.train_dataset(source, config, 4))) for _ in range(2))
    np.testing.assert_array_equal(first["image"], again["image"])
    assert first["image"].shape == (4, 32, 32, 3) and first["label"].shape == (4, 7)
    assert first["image"].numpy().min() >= 0 and 240 < first["image"].numpy().max() <= 255


@pytest.mark.parametrize("shard_count", [1, 3])
def test_synthetic_evaluation_has_exactly_the_images_asked_for(shard_count):
    config = DataConfig(dataset="synthetic", image_size=32, num_eval_images=37)
    source = data.open_source(config)
    labels = [
        eval_labels(config, source, 8, shard_index=i, shard_count=shard_count)
        for i in range(shard_count)
    ]
    assert sum(map(len, labels)) == 37


def test_tfrecord_counts_and_maps_labels_from_one_to_zero(tmp_path):
    write_imagenet(tmp_path, "train", [4, 5])
    write_imagenet(tmp_path, "validation", [3, 0, 2])
    config = DataConfig(data_dir=str(tmp_path), image_size=32)
    source = data.open_source(config)
    assert (source.num_train_images, source.num_eval_images) == (9, 5)
    assert source.num_classes == 1000
    assert sorted(eval_labels(config, source)) == [0, 1, 2, 3, 4]


def test_tfrecord_keeps_the_background_class_of_1001(tmp_path):
    write_imagenet(tmp_path, "validation", [3])
    config = DataConfig(data_dir=str(tmp_path), image_size=32, num_classes=1001)
    assert sorted(eval_labels(config)) == [1, 2, 3]


def test_holdout_evaluates_on_leading_training_shards(tmp_path):
    write_imagenet(tmp_path, "train", [2, 3, 4])
    config = DataConfig(data_dir=str(tmp_path), image_size=32, holdout_shards=2)
    source = data.open_source(config)
    assert sorted(eval_labels(config, source)) == [0, 1, 2, 3, 4]
    assert source.num_train_images == 4
    with pytest.raises(UserError, match="--holdout_shards=3 must leave training shards"):
        data.open_source(DataConfig(data_dir=str(tmp_path), holdout_shards=3))


def test_validation_shards_alone_are_enough_to_evaluate(tmp_path):
    write_imagenet(tmp_path, "validation", [2])
    config = DataConfig(data_dir=str(tmp_path), image_size=32)
    source = data.open_source(config)
    assert source.num_train_images is None
    assert len(eval_labels(config, source)) == 2
    with pytest.raises(UserError, match="no training shards"):
        data.train_dataset(source, config, 2)


@pytest.mark.parametrize("shard_count", [2, 5])
@pytest.mark.parametrize("num_eval_images", [None, 7])
def test_evaluation_shards_are_disjoint_and_complete(tmp_path, shard_count, num_eval_images):
    write_imagenet(tmp_path, "validation", [4, 1, 5])
    config = DataConfig(data_dir=str(tmp_path), image_size=32, num_eval_images=num_eval_images)
    source = data.open_source(config)
    seen = [
        int(source.read_eval(raw).label)
        for shard in range(shard_count)
        for raw in source.eval_stream(shard, shard_count)
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
        ({"data_dir": None}, "needs --data_dir"),
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
