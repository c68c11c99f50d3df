"""The census of a folder of pictures, against Pillow and against decoding all of every picture."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from efficientnet_tf import data
from efficientnet_tf.config import DataConfig, UserError
from efficientnet_tf.data.pictures.attempt import BLACK_PIXEL, attempt
from efficientnet_tf.data.pictures.copies import find_copies
from efficientnet_tf.data.pictures.decode import decode_and_crop, decoded_size, whole_box

PHOTOS = sorted(Path(__file__).parent.glob("reference/preprocess/*.jpg"))
FORMATS = {"a.jpg": "JPEG", "b.png": "PNG", "c.gif": "GIF", "d.bmp": "BMP", "e.webp": "WebP"}


def save(path, seed, size=(40, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.RandomState(seed).randint(0, 256, (*size[::-1], 3)).astype("uint8")
    Image.fromarray(pixels).save(path)


def census(folder):
    source = data.open_source(DataConfig(dataset="folder", data_dir=str(folder)))
    return {Path(entry.file).name: entry for entry in data.take_census(source.splits)}


@pytest.mark.slow
def test_sizes_and_formats_are_pillows(tmp_path):
    for seed, name in enumerate(FORMATS):
        save(tmp_path / "train" / "cat" / name, seed, (33 + seed, 60 - seed))
    entries = census(tmp_path)
    assert {name: entry.format for name, entry in entries.items()} == FORMATS
    for entry in entries.values():
        assert (entry.width, entry.height) == Image.open(entry.file).size
        assert (entry.split, entry.label, entry.problem, entry.copy_of) == ("train", "cat", "", "")


@pytest.mark.slow
def test_what_is_wrong_with_a_picture_is_said(tmp_path):
    photo = PHOTOS[0].read_bytes()
    folder = tmp_path / "train" / "cat"
    save(folder / "good.png", 0)
    contents = {
        "empty.png": b"",
        "notes.jpg": b"notes",
        "half.png": (folder / "good.png").read_bytes()[:500],
        "cut.jpg": photo[: len(photo) // 2],
        "longer.jpg": photo + b"what a camera adds",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    (folder / "gone.jpg").symlink_to(folder / "nowhere")
    entries = census(tmp_path)
    assert {name: entry.problem for name, entry in entries.items()} == {
        "good.png": "",
        "empty.png": "is empty",
        "notes.jpg": "is not a JPEG, PNG, GIF, BMP or WebP picture",
        "half.png": "is corrupt or cut short",
        "cut.jpg": "is corrupt or cut short",
        "longer.jpg": "",
        "gone.jpg": "cannot be read",
    }


@pytest.mark.slow
def test_decoding_small_fails_where_decoding_whole_fails():
    """Photos with random bytes overwritten, and cut: each verdict twice."""
    random, pictures = np.random.RandomState(0), []
    for encoded in [photo.read_bytes() for photo in PHOTOS] * 50:
        damaged = bytearray(encoded)
        start = random.randint(2, 700 if random.rand() < 0.5 else len(encoded) - 64)
        damaged[start : start + 64] = random.bytes(64)
        if random.rand() < 0.5:
            del damaged[random.randint(100, len(encoded)) :]
        pictures.append(bytes(damaged))

    def verdicts(picture):
        small, _ = attempt(decoded_size, picture, [0, 0])
        whole, _ = attempt(lambda it: decode_and_crop(it, whole_box), picture, BLACK_PIXEL)
        return small, whole

    tried = tf.data.Dataset.from_tensor_slices(pictures).map(verdicts)
    small, whole = np.transpose(list(tried.as_numpy_iterator()))
    np.testing.assert_array_equal(small, whole)
    assert 10 < sum(whole) < len(whole) - 10


def test_copies_are_files_of_equal_content(tmp_path):
    contents = [b"one", b"two", b"one", b"eleven", b"two", b"six", b"one"]
    paths = [str(tmp_path / str(i)) for i in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        Path(path).write_bytes(content)
    expected = {
        path: paths[contents.index(content)]
        for i, (path, content) in enumerate(zip(paths, contents, strict=True))
        if contents.index(content) < i
    }
    assert find_copies(paths) == expected


def pictures(folder, counts):
    for name, count in counts.items():
        for i in range(count):
            save(folder / name / f"{i}.png", sum(map(ord, name)) + i)


def check(folder, evaluated=True):
    source = data.open_source(DataConfig(dataset="folder", data_dir=str(folder)))
    return source.check_for_training(evaluated)


def test_a_picture_in_both_splits_is_warned_of(tmp_path):
    pictures(tmp_path / "train", {"ant": 3, "bee": 3, "cat": 1})
    pictures(tmp_path / "val", {"ant": 1})
    save(tmp_path / "val" / "bee" / "new.png", 99)
    assert check(tmp_path) == [
        "no picture of 'cat' is evaluated",
        "1 of 2 pictures to evaluate are trained on too, so the accuracy flatters: "
        f"{tmp_path}/val/ant/0.png is {tmp_path}/train/ant/0.png",
    ]


def test_of_a_small_class_nothing_is_held_out(tmp_path):
    pictures(tmp_path, {"ant": 5, "bee": 1, "cat": 2, "dog": 3, "elk": 1, "fox": 1})
    assert check(tmp_path) == ["no picture of 'bee', 'cat', 'elk' and 1 more classes is evaluated"]


def test_what_cannot_be_trained_is_refused(tmp_path):
    pictures(tmp_path / "one", {"ant": 5})
    with pytest.raises(UserError, match="one has one class only, 'ant'; name the folder that"):
        check(tmp_path / "one")
    pictures(tmp_path / "unseen", {"ant": 1, "bee": 2})
    with pytest.raises(UserError, match="unseen has no pictures to evaluate"):
        check(tmp_path / "unseen")
    assert check(tmp_path / "unseen", evaluated=False) == []
    pictures(tmp_path / "untrained" / "val", {"ant": 1, "bee": 2})
    with pytest.raises(UserError, match="untrained has no pictures to train on"):
        check(tmp_path / "untrained", evaluated=False)
    pictures(tmp_path / "other" / "train", {"ant": 1, "dog": 1})
    pictures(tmp_path / "other" / "val", {"ant": 1, "dogs": 1, "wolf": 1})
    with pytest.raises(UserError, match="of 'dogs' and 'wolf' to evaluate but none to train on; "
                       "of 'dog' there are none to evaluate"):  # fmt: skip
        check(tmp_path / "other")
