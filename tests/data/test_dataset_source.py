"""Data sets and augmentation of the user's own."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from efficientnet_tf import data
from efficientnet_tf.config import DataConfig, UserError

SIZE = 32
PLAIN = DataConfig(
    image_size=SIZE,
    resize_method="bilinear",
    train_batch_size=4,
    min_crop_area=1.0,
    horizontal_flip=False,
)
LABELS = np.arange(10) % 5
GREYS = 20 * np.arange(10)


def grey_images(dtype=np.uint8):
    return np.broadcast_to(GREYS[:, None, None, None], [10, 40, 40, 3]).astype(dtype)


def encode(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def pairs(images, labels=LABELS):
    return tf.data.Dataset.from_tensor_slices((images, labels))


def source_of(kind):
    images = {
        "uint8": grey_images(),
        "float": grey_images(np.float32) + 0.25,
        "encoded": [encode(image) for image in grey_images()],
    }[kind]
    return data.DatasetSource(pairs(images), pairs(images), num_classes=5)


def examples(dataset, batches):
    """Grey level and label of each example; every pixel of an image has its grey level."""
    found = []
    for batch in dataset.take(batches):
        images, labels = batch["image"].numpy(), batch["label"].numpy()
        assert (images == images[:, :1, :1, :1]).all()
        labels = labels.argmax(1) if labels.ndim == 2 else labels
        found += zip(images[:, 0, 0, 0].tolist(), labels.tolist(), strict=True)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "shift"), [("uint8", 0), ("float", 0.25), ("encoded", 0)])
def test_images_and_labels_arrive_as_they_are(kind, shift):
    expected = [(grey + shift, label) for grey, label in zip(GREYS, LABELS, strict=True)]
    source = source_of(kind)
    assert (source.num_train_images, source.num_eval_images) == (10, 10)
    assert examples(data.train_dataset(source, PLAIN, 5), 4) == expected * 2
    padding = [(0, -1)] * 2
    assert examples(data.eval_dataset(source, PLAIN, 4), 3) == expected + padding


@pytest.mark.slow
def test_a_resumed_run_and_several_hosts_see_the_same_examples():
    source = source_of("uint8")
    whole = examples(data.train_dataset(source, PLAIN, 4), 8)
    assert examples(data.train_dataset(source, PLAIN, 4, start_step=3), 5) == whole[12:]
    for host in range(2):
        part = data.train_dataset(source, PLAIN, 2, start_step=3, host_index=host, host_count=2)
        assert examples(part, 5) == whole[12:][host::2]
    seen = [examples(data.eval_dataset(source, PLAIN, 1, host, 3), 3 + (host == 0)) for host in
            range(3)]  # fmt: skip
    assert sorted(sum(seen, [])) == sorted(zip(GREYS, LABELS, strict=True))


def test_random_draws_differ_between_epochs():
    noise = np.random.RandomState(0).randint(0, 256, [10, 40, 40, 3]).astype(np.uint8)
    config = DataConfig(image_size=SIZE, resize_method="bilinear", train_batch_size=10)
    source = data.DatasetSource(pairs(noise), None, num_classes=5)
    first, second = data.train_dataset(source, config, 10).take(2)
    assert (first["image"].numpy() != second["image"].numpy()).any(axis=(1, 2, 3)).all()
    with pytest.raises(UserError, match="no pictures to evaluate"):
        data.eval_dataset(source, config, 10)


@pytest.mark.slow
def test_a_bad_picture_and_a_bad_label_are_named():
    encoded = [encode(image) for image in grey_images()]
    encoded[3] = encoded[3][:-20]
    broken = data.DatasetSource(pairs(encoded), None, num_classes=5)
    with pytest.raises(tf.errors.OpError) as error:
        list(data.train_dataset(broken, PLAIN, 4).take(3))
    message = str(data.explain(error.value, broken, start_step=0))
    assert message.startswith("training example 3 is corrupt or cut short; ")
    odd = data.DatasetSource(None, pairs(grey_images(), LABELS + 1), num_classes=5)
    with pytest.raises(tf.errors.OpError) as error:
        list(data.eval_dataset(odd, PLAIN, 4).take(3))
    assert "evaluation example 4 has label 5, outside 0..4" in str(data.explain(error.value, odd))


def test_an_unknown_length_is_counted():
    some = pairs(grey_images()).filter(lambda image, label: label < 2)
    assert data.DatasetSource(some, None, num_classes=5).num_train_images == 4


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (lambda: pairs(grey_images()).batch(2), "takes unbatched pairs"),
        (lambda: pairs(grey_images(), np.eye(10)), "takes unbatched pairs"),
        (lambda: tf.data.Dataset.from_tensor_slices(grey_images()), "takes unbatched pairs"),
        (lambda: pairs(grey_images()).repeat(), r"leave out repeat\(\)"),
        (lambda: None, "give a data set"),
    ],
)
def test_data_of_another_form_are_one_line(dataset, message):
    with pytest.raises(UserError, match=message) as error:
        data.DatasetSource(dataset(), None, num_classes=5)
    assert "\n" not in str(error.value)


def test_a_data_service_cannot_split_a_data_set():
    config = DataConfig(image_size=SIZE, resize_method="bilinear", tf_data_service="local")
    with pytest.raises(UserError, match="cannot be split"):
        data.train_dataset(source_of("uint8"), config, 2)


@pytest.mark.slow
def test_an_augmentation_of_ones_own_replaces_the_policy():
    def brighten(image, seed):
        assert image.dtype == tf.uint8 and image.shape == [SIZE, SIZE, 3] and seed.shape == [2]
        return image + tf.cast(tf.random.stateless_uniform([], seed, 1, 50, tf.int32), tf.uint8)

    source = source_of("uint8")
    whole = examples(data.train_dataset(source, PLAIN, 5, augment=brighten), 4)
    gains = np.array([grey for grey, _ in whole]) - np.tile(GREYS, 2)
    assert gains.min() >= 1 and gains.max() < 50 and len(set(gains)) > 5
    again = data.train_dataset(source, PLAIN, 4, start_step=2, augment=brighten)
    assert examples(again, 3) == whole[8:]
    both = DataConfig(image_size=SIZE, resize_method="bilinear", augment_name="autoaugment")
    with pytest.raises(UserError, match="give one of them"):
        data.train_dataset(source, both, 5, augment=brighten)
