"""Odd, broken and hostile pictures and records: decoded as Pillow does, or named in one line."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from shard_writer import jpeg, record, write_imagenet, write_shards

from efficientnet_tf import data
from efficientnet_tf.config import DataConfig, UserError
from efficientnet_tf.data.decode import decode_and_crop
from efficientnet_tf.data.guard import decode_or_name
from efficientnet_tf.data.headers import announced_pixels
from efficientnet_tf.data.sources.framing import read_past_damage
from efficientnet_tf.data.sources.shards import count_records

HEIGHT, WIDTH = 48, 64
BLOCKS = np.random.RandomState(0).randint(0, 256, (6, 8, 3)).repeat(8, 0).repeat(8, 1)
RGB = Image.fromarray(BLOCKS.astype(np.uint8))


def encode(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


FORMATS = {
    "jpeg": encode(RGB, "JPEG"),
    "jpeg progressive": encode(RGB, "JPEG", progressive=True),
    "jpeg grey": encode(RGB.convert("L"), "JPEG"),
    "jpeg cmyk": encode(RGB.convert("CMYK"), "JPEG"),
    "png": encode(RGB, "PNG"),
    "png rgba": encode(RGB.convert("RGBA"), "PNG"),
    "png grey alpha": encode(RGB.convert("LA"), "PNG"),
    "png palette": encode(RGB.convert("P"), "PNG"),
    "png 1 bit": encode(RGB.convert("1"), "PNG"),
    "gif": encode(RGB.convert("P"), "GIF"),
    "gif animated": encode(
        RGB.convert("P"), "GIF", save_all=True, append_images=[RGB.rotate(180).convert("P")]
    ),
    "webp": encode(RGB, "WEBP"),
    "webp lossless": encode(RGB, "WEBP", lossless=True),
    "webp alpha": encode(RGB.convert("RGBA"), "WEBP", lossless=True, exif=b"Exif\0\0MM"),
    "bmp": encode(RGB, "BMP"),
}


def whole(shape):
    return tf.stack([0, 0, shape[0], shape[1]])


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_decodes_to_rgb_as_in_pillow(kind):
    actual = decode_and_crop(tf.constant(FORMATS[kind]), whole).numpy()
    expected = np.array(Image.open(io.BytesIO(FORMATS[kind])).convert("RGB"))
    assert actual.shape == (HEIGHT, WIDTH, 3) and actual.dtype == np.uint8
    # Pillow's libjpeg has the accurate DCT.
    assert abs(actual.astype(int) - expected).max() <= (3 if "jpeg" in kind else 0)
    assert announced_pixels(tf.constant(FORMATS[kind])) == HEIGHT * WIDTH


def test_sixteen_bit_png_keeps_the_upper_byte():
    grey = BLOCKS[..., 0].astype(np.uint16) * 256 + 77
    actual = decode_and_crop(tf.constant(encode(Image.fromarray(grey), "PNG")), whole).numpy()
    np.testing.assert_array_equal(actual, (grey >> 8)[..., None].repeat(3, 2))


def png_header(width, height):
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    head = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk
    return head + struct.pack(">I", zlib.crc32(chunk)) + b"\0" * 64


def jpeg_with_size(width, height):
    encoded = bytearray(FORMATS["jpeg"])
    place = encoded.index(b"\xff\xc0") + 5
    encoded[place : place + 4] = struct.pack(">HH", height, width)
    return bytes(encoded)


BROKEN = {
    "is empty": b"",
    "is not a JPEG, PNG, GIF, BMP or WebP picture": b"<html>404 Not Found</html>",
    "is corrupt or cut short": FORMATS["jpeg"][:-200],
    "announces more than 89 megapixels": png_header(10000, 9000),
}
CASES = [
    *BROKEN.items(),
    ("announces more than 89 megapixels", jpeg_with_size(9000, 10000)),
    ("is corrupt or cut short", FORMATS["jpeg"][:3]),
    ("is corrupt or cut short", FORMATS["png"][:-100]),
    ("is corrupt or cut short", FORMATS["gif"][:200]),
    ("is corrupt or cut short", FORMATS["webp"][:-100]),
    ("is corrupt or cut short", FORMATS["png"][:100] + b"?" + FORMATS["png"][101:]),
]


def eval_labels(config, batch_size=4):
    """Evaluation labels until padding; a failure as `explain` tells it."""
    source = data.open_source(config)
    labels = []
    try:
        for batch in data.eval_dataset(source, config, batch_size):
            real = batch["label"].numpy()[batch["label"].numpy() >= 0].tolist()
            labels += real
            if not real:
                return labels
    except tf.errors.OpError as error:
        raise data.explain(error, source) from error


def open_at(folder):
    return data.open_source(config_for(folder))


def train_batches(config, count, batch_size=4, **where):
    source = data.open_source(config)
    try:
        return list(data.train_dataset(source, config, batch_size, **where).take(count))
    except tf.errors.OpError as error:
        raise data.explain(error, source) from error


def config_for(folder, **changes):
    return DataConfig(data_dir=str(folder), image_size=32, train_batch_size=4, **changes)


def one_bad(folder, split, bad):
    """Labels 1 to 6 in one shard, the third of them replaced by `bad`."""
    records = [record(jpeg(label), label) for label in range(1, 7)]
    records[2] = bad
    (path,) = write_shards(folder, split, [records])
    return path


@pytest.fixture(scope="module")
def decode():
    def named(encoded):
        return decode_or_name(encoded, whole, lambda: tf.constant("this one"))

    return tf.function(named, input_signature=[tf.TensorSpec([], tf.string)])


@pytest.mark.parametrize(("reason", "encoded"), CASES)
def test_a_bad_picture_is_one_line_naming_it(decode, reason, encoded):
    with pytest.raises(tf.errors.OpError) as error:
        decode(encoded)
    message = str(data.explain(error.value))
    assert message.startswith(f"this one {reason}; ")
    assert "--max_bad_examples=N" in message and "\n" not in message


def test_a_whole_picture_passes_the_guard(decode):
    for encoded in FORMATS.values():
        assert decode(encoded).shape == (HEIGHT, WIDTH, 3)
    padded = FORMATS["jpeg"] + b"\0\0\0"  # some cameras do
    np.testing.assert_array_equal(decode(padded), decode(FORMATS["jpeg"]))


def test_a_bad_picture_in_a_shard_is_named_by_its_record(tmp_path):
    path = one_bad(tmp_path, "validation", record(FORMATS["jpeg"][:-200], 3))
    with pytest.raises(UserError, match=f"{path} record 2 is corrupt or cut short; "):
        eval_labels(config_for(tmp_path))


@pytest.mark.parametrize("label", [0, 6])
def test_a_label_out_of_range_names_record_and_range(tmp_path, label):
    path = one_bad(tmp_path, "train", record(jpeg(3), label))
    with pytest.raises(UserError, match=f"{path} record 2 has label {label}, outside 1..5"):
        train_batches(config_for(tmp_path, num_classes=5, num_train_images=3), 1, 3)


def test_bad_examples_are_skipped_named_and_counted(tmp_path, capfd):
    path = one_bad(tmp_path, "validation", record(b"", 3))
    assert sorted(eval_labels(config_for(tmp_path, max_bad_examples=1))) == [0, 1, 3, 4, 5]
    printed = capfd.readouterr().err
    assert f"skipped: {path} record 2 is empty" in printed
    assert "evaluation: 1 skipped in all" in printed


def test_one_bad_example_more_than_allowed_is_an_error(tmp_path):
    records = [record(encoded, 1) for encoded in (jpeg(1), b"", b"?", jpeg(2))]
    (path,) = write_shards(tmp_path, "validation", [records])
    with pytest.raises(UserError, match="record 2 is not a JPEG"):
        eval_labels(config_for(tmp_path, max_bad_examples=1))
    assert len(eval_labels(config_for(tmp_path, max_bad_examples=2))) == 2


def test_training_fills_the_places_of_bad_examples_and_resumes_exactly(tmp_path, capfd):
    bad = [record(b"", 1), record(jpeg(2), 4000), record(FORMATS["jpeg"][:90], 3), b"no Example"]
    write_shards(tmp_path, "train", [bad + [record(jpeg(label), label) for label in (5, 6, 7, 8)]])
    config = config_for(tmp_path, max_bad_examples=4)
    batches = train_batches(config, 4, batch_size=8)  # four epochs
    labels = np.stack([batch["label"].numpy() for batch in batches])
    assert (labels.sum(2) == 1).all() and set(labels.argmax(2).flat) == {4, 5, 6, 7}
    printed = capfd.readouterr().err
    for epoch in range(3):
        assert f"training epoch {epoch}: 4 skipped in all" in printed
    for place, why in enumerate(
        ["is empty", "has a label out of range", "is corrupt or cut short", "is damaged or not a"]
    ):
        assert f"train-00000-of-00001 record {place} {why}" in printed
    for i, batch in enumerate(train_batches(config, 2, batch_size=8, start_step=4)):
        np.testing.assert_array_equal(batch["image"], batches[i + 2]["image"])


def test_nothing_but_bad_examples_is_an_error_and_no_hang(tmp_path):
    write_shards(tmp_path, "train", [[record(b"", 1)] * 9])
    with pytest.raises(UserError, match="is empty"):
        train_batches(config_for(tmp_path), 1)
    with pytest.raises(UserError, match="is empty"):
        train_batches(config_for(tmp_path, max_bad_examples=8), 3)


def flip(path, place):
    """Flips one bit of a file."""
    content = bytearray(Path(path).read_bytes())
    content[place] ^= 1
    Path(path).write_bytes(content)


def record_starts(path):
    starts, place, content = [], 0, Path(path).read_bytes()
    while place < len(content):
        starts.append(place)
        place += struct.unpack("<Q", content[place : place + 8])[0] + 16
    return starts


def cut(path, size):
    """Keeps the first bytes of a file."""
    Path(path).write_bytes(Path(path).read_bytes()[:size])


@pytest.mark.parametrize("inside", [3, 9, 500, -2], ids=["length", "checksum", "content", "tail"])
def test_a_flipped_bit_costs_one_record_and_is_located(tmp_path, inside):
    healthy, path = write_imagenet(tmp_path, "train", [3, 6])
    records = [item.numpy() for item in tf.data.TFRecordDataset(path)]
    starts = record_starts(path)
    flip(path, starts[4] + inside if inside > 0 else starts[5] + inside)
    with pytest.raises(tf.errors.DataLossError) as error:
        list(tf.data.TFRecordDataset(path))
    assert f"{path} record 4 is corrupted" in str(data.explain(error.value, open_at(tmp_path)))
    intact, rest = read_past_damage(path, b"damaged")
    assert intact == 4 and list(rest) == [b"damaged", records[5]]
    assert read_past_damage(healthy, b"damaged")[0] == 3
    assert count_records([healthy, path]) == {healthy: 3, path: 6}


def test_flipped_bits_are_named_or_skipped(tmp_path):
    (path,) = write_imagenet(tmp_path, "validation", [6])
    starts = record_starts(path)
    flip(path, starts[2] + 500)
    flip(path, starts[4] + 3)
    with pytest.raises(UserError, match=f"{path} record 2 is corrupted"):
        eval_labels(config_for(tmp_path))
    assert sorted(eval_labels(config_for(tmp_path, max_bad_examples=2))) == [0, 1, 3, 5]


@pytest.mark.parametrize("kept", [300, 6], ids=["in its content", "in its header"])
def test_a_shard_cut_inside_a_record_is_named_or_costs_one_record(tmp_path, kept):
    (path,) = write_imagenet(tmp_path, "validation", [6])
    cut(path, record_starts(path)[5] + kept)
    with pytest.raises(UserError, match=f"{path} (record 5 is truncated|with 5)"):
        eval_labels(config_for(tmp_path, num_eval_images=6))
    assert sorted(eval_labels(config_for(tmp_path, max_bad_examples=1))) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_shard_cut_between_records_shows_in_the_count(tmp_path, split):
    _, path = write_imagenet(tmp_path, split, [5, 5])
    cut(path, record_starts(path)[3])
    config = config_for(tmp_path, num_train_images=10, num_eval_images=10)
    with pytest.raises(UserError, match="8 records where 10 were announced") as error:
        train_batches(config, 6) if split == "train" else eval_labels(config)
    assert f"the shortest is {path} with 3" in str(error.value)


def test_a_shard_that_is_not_a_tfrecord_is_named(tmp_path):
    path = tmp_path / "validation-00000-of-00001"
    path.write_bytes(b"<html>404 Not Found</html>" * 40)
    with pytest.raises(UserError, match=f"{path} record 0 is corrupted"):
        eval_labels(config_for(tmp_path))


def test_a_shard_that_disappears_is_named(tmp_path):
    paths = write_imagenet(tmp_path, "validation", [5, 5])
    source = data.open_source(config_for(tmp_path))
    tmp_path.joinpath(paths[1]).unlink()
    with pytest.raises(tf.errors.OpError) as error:
        list(data.eval_dataset(source, config_for(tmp_path), 4).take(4))
    assert f"{paths[1]} has disappeared" in str(data.explain(error.value, source))


def test_other_errors_are_not_explained():
    assert data.explain(ValueError("shape")) is None
    assert data.explain(tf.errors.ResourceExhaustedError(None, None, "OOM")) is None
