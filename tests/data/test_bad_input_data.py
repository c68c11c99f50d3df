"""Odd, broken and hostile pictures and records: decoded as Pillow does, or named in one line."""

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from helpers.shard_writer import jpeg, record, write_shards
from helpers.streams import config_for, eval_labels, open_at, train_batches
from PIL import Image

from efficientnet_tf import data
from efficientnet_tf.config import UserError
from efficientnet_tf.data.bad_examples import ExampleLoader
from efficientnet_tf.data.pictures.decode import decode_and_crop
from efficientnet_tf.data.pictures.headers import announced_pixels
from efficientnet_tf.data.sources import Picture

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


def one_bad(folder, split, bad):
    """Labels 1 to 6 in one shard, the third of them replaced by `bad`."""
    records = [record(jpeg(label), label) for label in range(1, 7)]
    records[2] = bad
    (path,) = write_shards(folder, split, [records])
    return path


@pytest.fixture(scope="module")
def decode():
    loader = ExampleLoader(lambda encoded: Picture(encoded, 0), lambda _: tf.constant("this one"))

    def named(encoded):
        loaded = loader.load(encoded, whole)
        return loader.finish({"image": loaded.image}, loaded.ok, encoded)["image"]

    return tf.function(named, input_signature=[tf.TensorSpec([], tf.string)])


@pytest.mark.slow
@pytest.mark.parametrize(("reason", "encoded"), CASES)
def test_a_bad_picture_is_one_line_naming_it(decode, reason, encoded):
    with pytest.raises(tf.errors.OpError) as error:
        decode(encoded)
    message = str(data.explain(error.value))
    assert message.startswith(f"this one {reason}; ")
    assert "--max_bad_examples=N" in message and "\n" not in message


@pytest.mark.slow
@pytest.mark.parametrize(("reason", "encoded"), CASES)
def test_a_bad_file_to_classify_is_named_with_the_reason(tmp_path, reason, encoded):
    (tmp_path / "it").write_bytes(encoded)
    with pytest.raises(UserError, match=f"/it {reason}$"):
        data.read_picture(str(tmp_path / "it"), 224, "bicubic")


def test_a_folder_is_no_picture(tmp_path):
    with pytest.raises(UserError, match=f"{tmp_path}: cannot be read$"):
        data.read_picture(str(tmp_path), 32, "bicubic")


def test_a_whole_picture_passes_the_guard(decode):
    for encoded in FORMATS.values():
        assert decode(encoded).shape == (HEIGHT, WIDTH, 3)
    padded = FORMATS["jpeg"] + b"\0\0\0"  # some cameras do
    np.testing.assert_array_equal(decode(padded), decode(FORMATS["jpeg"]))


@pytest.mark.slow
def test_a_bad_picture_in_a_shard_is_named_by_its_record(tmp_path):
    path = one_bad(tmp_path, "validation", record(FORMATS["jpeg"][:-200], 3))
    with pytest.raises(UserError, match=f"{path} record 2 is corrupt or cut short; "):
        eval_labels(config_for(tmp_path))


def flipped_inside(encoded):
    """A JPEG with both its ends that the decoder refuses nevertheless."""
    for place in range(encoded.index(b"\xff\xc4"), len(encoded) - 2):
        broken = encoded[:place] + bytes([encoded[place] ^ 64]) + encoded[place + 1 :]
        try:
            tf.io.decode_jpeg(broken)
        except tf.errors.InvalidArgumentError:
            return broken


@pytest.mark.slow
@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_picture_broken_between_its_ends_is_searched_and_named(tmp_path, split):
    path = one_bad(tmp_path, split, record(flipped_inside(FORMATS["jpeg"]), 3))
    source = open_at(tmp_path)
    make = data.train_dataset if split == "train" else data.eval_dataset
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        list(make(source, source.config, 3).take(2))
    step = 0 if split == "train" else None
    message = str(data.explain(error.value, source, start_step=step))
    assert message.startswith(f"{path} record 2 is corrupt or cut short; ")
    assert "--max_bad_examples=1 names it" in str(data.explain(error.value))


@pytest.mark.slow
@pytest.mark.parametrize("label", [0, 6])
@pytest.mark.fault(
    "Records",
    "a label out of range, beyond 32 bits too",
    "record and range are named",
)
def test_a_label_out_of_range_names_record_and_range(tmp_path, label):
    path = one_bad(tmp_path, "train", record(jpeg(3), label))
    with pytest.raises(UserError, match=f"{path} record 2 has label {label}, outside 1..5"):
        train_batches(config_for(tmp_path, num_classes=5, num_train_images=3), 1, 3)


@pytest.mark.slow
def test_bad_examples_are_skipped_named_and_counted(tmp_path, capfd):
    path = one_bad(tmp_path, "validation", record(b"", 3))
    assert sorted(eval_labels(config_for(tmp_path, max_bad_examples=1))) == [0, 1, 3, 4, 5]
    printed = capfd.readouterr().err
    assert f"skipped: {path} record 2 is empty" in printed
    assert "evaluation: 1 skipped in all" in printed


@pytest.mark.slow
def test_one_bad_example_more_than_allowed_is_an_error(tmp_path):
    records = [record(encoded, 1) for encoded in (jpeg(1), b"", b"?", jpeg(2))]
    (path,) = write_shards(tmp_path, "validation", [records])
    with pytest.raises(UserError, match="record 2 is not a JPEG"):
        eval_labels(config_for(tmp_path, max_bad_examples=1))
    assert len(eval_labels(config_for(tmp_path, max_bad_examples=2))) == 2


@pytest.mark.slow
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
        [
            "is empty",
            "has label 4000, outside 1..1000",
            "is corrupt or cut short",
            "is damaged or not a",
        ]
    ):
        assert f"train-00000-of-00001 record {place} {why}" in printed
    for i, batch in enumerate(train_batches(config, 2, batch_size=8, start_step=4)):
        np.testing.assert_array_equal(batch["image"], batches[i + 2]["image"])


@pytest.mark.slow
def test_a_second_look_reports_nothing_and_sees_the_same(tmp_path, capfd):
    write_shards(tmp_path, "train", [[record(b"", 1), *(record(jpeg(i), i) for i in (5, 6, 7))]])
    config = config_for(tmp_path, max_bad_examples=1)
    loud = train_batches(config, 3)
    assert "skipped" in capfd.readouterr().err
    quiet = train_batches(config, 3, report=False)
    assert "skipped" not in capfd.readouterr().err
    for one, other in zip(loud, quiet, strict=True):
        np.testing.assert_array_equal(one["image"], other["image"])
    with pytest.raises(UserError, match="is empty"):
        train_batches(config_for(tmp_path, max_bad_examples=0), 1, report=False)


@pytest.mark.slow
@pytest.mark.fault(
    "Records",
    "nothing but bad examples",
    "an error, no hang",
)
def test_nothing_but_bad_examples_is_an_error_and_no_hang(tmp_path):
    write_shards(tmp_path, "train", [[record(b"", 1)] * 9])
    with pytest.raises(UserError, match="is empty"):
        train_batches(config_for(tmp_path), 1)
    with pytest.raises(UserError, match="is empty"):
        train_batches(config_for(tmp_path, max_bad_examples=8), 3)


def test_other_errors_are_not_explained():
    assert data.explain(ValueError("shape")) is None
    assert data.explain(tf.errors.ResourceExhaustedError(None, None, "OOM")) is None
