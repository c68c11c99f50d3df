"""MNIST's file format, with files written here."""

import gzip
import struct

import numpy as np
import pytest
from helpers.streams import eval_labels

from efficientnet_tf import data
from efficientnet_tf.config import DataConfig, UserError

RANDOM = np.random.RandomState(0)
IMAGES = {
    "train": RANDOM.randint(0, 256, [12, 28, 28]),
    "t10k": RANDOM.randint(0, 256, [6, 28, 28]),
}
LABELS = {"train": np.arange(12) % 3, "t10k": np.arange(6) % 3}


def idx(values):
    header = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
    return header + values.astype("uint8").tobytes()


def write(folder, pack=gzip.compress, suffix=".gz", **changes):
    for split in ("train", "t10k"):
        files = {
            f"{split}-images-idx3-ubyte": idx(IMAGES[split]),
            f"{split}-labels-idx1-ubyte": idx(LABELS[split]),
        }
        for name, content in files.items():
            content = changes.get(name.replace("-", "_"), content)
            (folder / f"{name}{suffix}").write_bytes(pack(content))
    return DataConfig(dataset="idx", data_dir=str(folder), image_size=32, resize_method="bicubic")


@pytest.mark.parametrize("pack, suffix", [(gzip.compress, ".gz"), (bytes, "")])
def test_pictures_and_labels_are_those_of_the_files(tmp_path, pack, suffix):
    config = write(tmp_path, pack, suffix)
    source = data.open_source(config)
    assert (source.num_train_images, source.num_eval_images, source.num_classes) == (12, 6, 3)
    for split, read in (("train", source.read_train), ("t10k", source.read_eval)):
        for index, (image, label) in enumerate(zip(IMAGES[split], LABELS[split], strict=True)):
            picture = read(index)
            assert int(picture.label) == label
            inside = picture.image.numpy()[2:-2, 2:-2]
            np.testing.assert_array_equal(inside, np.repeat(image[..., None], 3, -1))
    assert eval_labels(config, source, 4) == LABELS["t10k"].tolist()


def test_the_evaluation_crop_is_the_whole_picture(tmp_path):
    config = write(tmp_path)
    config = DataConfig(**{**vars(config), "image_size": 56})
    source = data.open_source(config)
    batch = next(iter(data.eval_dataset(source, config, 6)))["image"].numpy()
    # Without half-pixel centres every second sample of an image twice as large is a pixel of it.
    np.testing.assert_allclose(batch[:, ::2, ::2, 0], IMAGES["t10k"], atol=1e-3)


@pytest.mark.parametrize(
    "changes, why",
    [
        ({"train_images_idx3_ubyte": idx(IMAGES["train"])[:-5]}, "announces"),
        ({"train_images_idx3_ubyte": idx(IMAGES["train"]) + b"x"}, "announces"),
        ({"train_images_idx3_ubyte": b"\0\0"}, "damaged"),
        ({"train_images_idx3_ubyte": struct.pack(">HBB3I", 0, 8, 3, *[2**31] * 3)}, "no IDX file"),
        ({"train_labels_idx1_ubyte": idx(IMAGES["train"])}, "no IDX file"),
        ({"train_labels_idx1_ubyte": idx(LABELS["t10k"])}, "12 images and 6 labels"),
        ({"t10k_labels_idx1_ubyte": idx(LABELS["t10k"] + 5)}, "no training images"),
    ],
)
def test_damaged_files_are_one_line(tmp_path, changes, why):
    with pytest.raises(UserError, match=why) as error:
        data.open_source(write(tmp_path, **changes))
    assert "\n" not in str(error.value) and str(tmp_path) in str(error.value)


def test_missing_files_and_cut_archives(tmp_path):
    with pytest.raises(UserError, match="train-images-idx3-ubyte"):
        data.open_source(DataConfig(dataset="idx", data_dir=str(tmp_path)))
    with pytest.raises(UserError, match="--data_dir"):
        data.open_source(DataConfig(dataset="idx"))
    with pytest.raises(UserError, match="damaged"):
        data.open_source(write(tmp_path, lambda content: gzip.compress(content)[:-9]))
