"""The training pipeline on tf.data service workers: the same examples, each of them once."""

import numpy as np
import pytest
from helpers.shard_writer import write_imagenet

from efficientnet_tf import data
from efficientnet_tf.config import DataConfig, UserError
from efficientnet_tf.data.service import start_local_service

pytestmark = pytest.mark.slow

SIZE = 192


@pytest.fixture(scope="module")
def service():
    return start_local_service(num_workers=2)


def batches(config, count, batch_size):
    source = data.open_source(config)
    return [
        (batch["image"].numpy(), batch["label"].numpy().argmax(1))
        for batch in data.train_dataset(source, config, batch_size).take(count)
    ]


def digits(**changes):
    return DataConfig(
        dataset="digits", image_size=32, resize_method="bicubic", num_train_images=SIZE, **changes
    )


def test_two_workers_make_the_examples_of_one_process(service):
    alone = np.concatenate([images for images, _ in batches(digits(), 12, 64)])
    shared = np.concatenate(
        [images for images, _ in batches(digits(tf_data_service=service.address), 8, 64)]
    )
    known = {image.tobytes() for image in alone}
    seen = [image.tobytes() for image in shared]
    assert len(set(seen)) == len(seen) == 512 and set(seen) <= known
    assert all(worker._num_tasks() > 0 for worker in service.workers)


def test_workers_take_whole_epochs_of_records(service, tmp_path):
    write_imagenet(tmp_path, "train", [3, 5])
    config = DataConfig(
        data_dir=str(tmp_path),
        image_size=32,
        resize_method="bicubic",
        tf_data_service=service.address,
    )
    labels = np.concatenate([labels for _, labels in batches(config, 8, 8)])
    np.testing.assert_array_equal(np.bincount(labels), [8] * 8)


def test_local_needs_no_address():
    assert len(batches(digits(tf_data_service="local"), 2, 16)) == 2


@pytest.mark.parametrize("address", ["localhost:1", "nonsense", "grpc://localhost:1"])
def test_an_address_where_nobody_listens_is_one_line(address):
    with pytest.raises(UserError, match=f"--tf_data_service={address}: no dispatcher answers"):
        batches(digits(tf_data_service=address), 1, 16)
