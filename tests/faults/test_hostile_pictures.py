"""Pictures made to exhaust memory or time, or that are none: refused before they are decoded."""

import io
import json
import os
import resource
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from helpers.command import TINY, call
from helpers.fuzz_pictures import PNG_START, encode
from PIL import Image

from efficientnet_tf import data
from efficientnet_tf.config import DataConfig, UserError
from efficientnet_tf.data.pictures.decode import decode_and_crop, whole_box
from efficientnet_tf.data.pictures.gif import only_first_frame

NOISE = np.random.RandomState(0).randint(0, 256, (4, 40, 60), np.uint8)
FRAMES = [Image.fromarray(pixels) for pixels in NOISE]
HEADER_OF_A_DOT = b"GIF89a\x01\0\x01\0\0\0\0"
DOT = b"," + bytes(4) + b"\x01\0\x01\0\0\x08"


def line(path, encoded):
    """What reading the picture raises."""
    path.write_bytes(encoded)
    with pytest.raises(UserError) as error:
        data.read_picture(str(path), 32, "bicubic")
    assert "\n" not in str(error.value)
    return str(error.value).removeprefix(f"{path} ")


def decode(encoded):
    return decode_and_crop(tf.constant(encoded), whole_box).numpy()


def peak_megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def gif(width, height, screen=(1, 1)):
    """A GIF of one black frame, on a screen of another size."""
    encoded = bytearray(encode(Image.new("P", (width, height)), "GIF"))
    encoded[6:10] = struct.pack("<HH", *screen)
    return bytes(encoded)


@pytest.mark.slow
@pytest.mark.fault(
    "Pictures",
    "a GIF whose frames are larger than its screen",
    "refused above 89 megapixels, before decoding",
)
def test_the_size_of_a_gif_is_its_frames_and_not_its_screens(tmp_path):
    hostile, before = gif(12000, 12000), peak_megabytes()
    assert len(hostile) < 110_000
    assert line(tmp_path / "a.gif", hostile) == "announces more than 89 megapixels"
    assert peak_megabytes() - before < 100
    assert decode(gif(30, 20, screen=(60000, 60000))).shape == (20, 30, 3)


@pytest.mark.slow
@pytest.mark.fault(
    "Pictures",
    "a GIF of many frames",
    "one is decoded",
)
def test_of_many_frames_one_is_unpacked():
    encoded = gif(3000, 3000)
    start = encoded.index(b"," + bytes(4) + struct.pack("<HH", 3000, 3000))
    hostile = encoded[:start] + 150 * encoded[start:-1] + b";"
    assert Image.open(io.BytesIO(hostile)).n_frames == 150
    before = peak_megabytes()
    assert decode(hostile).shape == (3000, 3000, 3)
    assert peak_megabytes() - before < 300  # all frames: 1350


@pytest.mark.parametrize("options", [{}, {"interlace": 0}, {"comment": "x"}])
def test_the_first_frame_is_pillows(options):
    encoded = encode(FRAMES[0], "GIF", save_all=True, append_images=FRAMES[1:], **options)
    first = only_first_frame(encoded).numpy()
    assert getattr(Image.open(io.BytesIO(first)), "n_frames", 1) == 1
    whole = Image.open(io.BytesIO(encoded)).convert("RGB")
    np.testing.assert_array_equal(Image.open(io.BytesIO(first)).convert("RGB"), whole)
    np.testing.assert_array_equal(decode(encoded), whole)


@pytest.mark.slow
@pytest.mark.parametrize("blocks", [b"!\xfe\0" * 10**6, b"!\xfe\x01a\0" * 10**6])
@pytest.mark.fault(
    "Pictures",
    "a GIF of a million tiny blocks",
    "takes no longer than others",
)
def test_a_gif_of_a_million_tiny_blocks_takes_no_longer_than_others(blocks):
    with pytest.raises(tf.errors.InvalidArgumentError):
        only_first_frame(HEADER_OF_A_DOT + blocks + DOT + b"\x01\x01\0;")


def test_a_gif_that_ends_anywhere_has_a_frame_or_is_refused():
    encoded = encode(FRAMES[0], "GIF")
    for length in (*range(6, 40), *range(800, len(encoded) - 1, 97)):
        with pytest.raises(tf.errors.InvalidArgumentError):
            decode(encoded[:length])
    np.testing.assert_array_equal(decode(encoded[:-1]), decode(encoded))


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + zlib.crc32(kind + content).to_bytes(4)


@pytest.mark.slow
@pytest.mark.fault(
    "Pictures",
    "a PNG whose header comes second",
    "refused",
)
def test_a_png_whose_header_comes_second_is_refused(tmp_path):
    header = struct.pack(">IIBBBBB", 10000, 10000, 8, 0, 0, 0, 0)
    rest = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(10001 * 10000), 9))
    rest += chunk(b"IEND", b"")
    small = chunk(b"prVt", struct.pack(">II", 1, 1))  # where the size is expected
    assert line(tmp_path / "a.png", PNG_START + small + rest).startswith("is not a JPEG, PNG")
    assert line(tmp_path / "a.png", PNG_START + rest) == "announces more than 89 megapixels"


def jpeg_parts(**options):
    """A JPEG before its frame header, the header, and what follows."""
    encoded = encode(FRAMES[0], "JPEG", **options)
    start = encoded.index(b"\xff\xc2" if options.get("progressive") else b"\xff\xc0")
    end = start + 2 + int.from_bytes(encoded[start + 2 : start + 4])
    return encoded[:start], encoded[start:end], encoded[end:]


def sized(header, width, height):
    return header[:5] + struct.pack(">HH", height, width) + header[9:]


@pytest.mark.slow
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.fault(
    "Pictures",
    "a JPEG of two sizes",
    "one size counts, or it is refused",
)
def test_a_jpeg_has_one_size(progressive, tmp_path):
    path = tmp_path / "a.jpg"
    before, header, after = jpeg_parts(progressive=progressive)
    small, large = sized(header, 8, 8), sized(header, 30000, 30000)
    for headers in (small + large, large + small, small + header):
        assert line(path, before + headers + after).split()[0] in ("is", "announces")
    if progressive:  # of a baseline JPEG nothing behind the only scan is read
        with_second = before + header + after[:-2] + large + after[-2:]
        assert line(path, with_second) == "is corrupt or cut short"
    # A size in a comment, a thumbnail for instance, is none.
    hidden = b"\xff\xfe" + struct.pack(">H", 2 + len(large)) + large
    assert decode(before[:2] + hidden + before[2:] + header + after).shape == (40, 60, 3)
    assert line(path, before + large + after) == "announces more than 89 megapixels"


@pytest.mark.slow
@pytest.mark.fault(
    "Pictures",
    "a JPEG of thousands of scans",
    "refused",
)
def test_a_jpeg_of_thousands_of_scans_is_refused(tmp_path):
    encoded = encode(Image.new("L", (4000, 4000), 100), "JPEG", progressive=True)
    last_scan = encoded[encoded.rindex(b"\xff\xda") : -2]
    assert decode(encoded).shape == (4000, 4000, 3)
    bomb = encoded[:-2] + last_scan * 3000 + encoded[-2:]
    assert line(tmp_path / "a.jpg", bomb) == "is a JPEG of more scans than any coder writes"


@pytest.mark.fault(
    "Pictures",
    "an animated WebP named .jpg",
    "one line that says so",
)
def test_an_animated_webp_is_called_one_whatever_its_name(tmp_path):
    animated = encode(FRAMES[0], "WEBP", save_all=True, append_images=FRAMES[1:])
    assert line(tmp_path / "a.jpg", animated) == "is an animated WebP; save one picture of it"
    still = encode(FRAMES[0], "WEBP", lossless=True, exif=b"Exif\0\0MM")
    assert still[12:16] == animated[12:16] == b"VP8X"
    np.testing.assert_array_equal(decode(still), Image.open(io.BytesIO(still)).convert("RGB"))


@pytest.mark.fault(
    "Pictures",
    "a sparse file of more than 1 GB given to --mode=predict",
    "refused unread",
)
def test_a_sparse_file_is_not_read(tmp_path):
    with open(tmp_path / "a.jpg", "wb") as file:
        file.truncate(16 << 30)
    with pytest.raises(UserError, match="is larger than a gigabyte"):
        data.read_picture(str(tmp_path / "a.jpg"), 32, "bicubic")


MISNAMED = os.fsdecode(b"\xff.png")


@pytest.fixture
def odd_folder(tmp_path):
    """Two classes of two good pictures, a pipe, and a name that is not UTF-8."""
    for name in ("ant", "bee"):
        (tmp_path / "train" / name).mkdir(parents=True)
        for number in range(2):
            FRAMES[number].save(tmp_path / "train" / name / f"{number}.png")
    odd = tmp_path / "train" / "bee"
    os.mkfifo(odd / "pipe.png")
    os.mkfifo(odd / "pipe")
    (odd / MISNAMED).write_bytes((odd / "0.png").read_bytes())
    return tmp_path


@pytest.mark.fault(
    "Pictures",
    "a pipe, socket or device, or a name that is not UTF-8, in a folder",
    "left out, said",
)
def test_what_cannot_be_opened_is_left_out_of_a_folder(odd_folder, capfd):
    source = data.open_source(DataConfig(dataset="folder", data_dir=str(odd_folder)))
    assert source.num_train_images == 4
    printed = capfd.readouterr().err.splitlines()
    bee = odd_folder / "train" / "bee"
    assert f"left out, not pictures: {bee}/pipe and 1 more" in printed
    assert f"left out, names that are not UTF-8 (rename them): {bee}/\\xff.png" in printed


def test_a_class_whose_name_is_not_utf_8_is_refused(odd_folder):
    (odd_folder / "train" / os.fsdecode(b"\xfe")).mkdir()
    with pytest.raises(UserError, match=r"train/\\xfe: the folder's name is not UTF-8; rename it"):
        data.open_source(DataConfig(dataset="folder", data_dir=str(odd_folder)))


@pytest.mark.parametrize("name", ["pipe.png", "pipe"])
@pytest.mark.fault(
    "Pictures",
    "a CSV file that names a pipe",
    "one line",
)
def test_a_csv_file_that_names_a_pipe_is_refused(odd_folder, name):
    folder = odd_folder / "train" / "bee"
    (folder / "labels.csv").write_text(f"file,labels\n0.png,a\n1.png,b\n{name},a\n")
    with pytest.raises(UserError, match=f"{name} is a pipe, a socket or a device"):
        data.open_source(DataConfig(dataset="csv", data_dir=str(folder)))


@pytest.mark.slow
@pytest.mark.fault(
    "Pictures",
    "the same given to --mode=predict",
    "its own error; the others are done",
)
def test_predict_goes_past_what_cannot_be_opened(odd_folder, tmp_path):
    run, output = tmp_path / "run", tmp_path / "out.json"
    result = call(*TINY, f"--model_dir={run}", "--train_steps=2", "--mode=train")
    assert result.returncode == 0, result.stderr
    (run / MISNAMED).write_bytes(b"")  # the run's folder is listed too
    bee = odd_folder / "train" / "bee"
    files = [bee / MISNAMED, bee / "pipe.png", "/dev/zero", bee / "0.png"]
    result = call(
        *("--mode=predict", f"--model_dir={run}", f"--output_json={output}"),
        *(f"--explain={tmp_path}/why", *files),
    )
    assert (result.returncode, result.stderr) == (1, "error: 3 of 4 files could not be read\n")
    lines = [entry.get("error") for entry in json.loads(output.read_text(encoding="ascii"))]
    assert lines == [
        f"{bee}/\\xff.png has a name that is not UTF-8; rename it",
        f"{bee}/pipe.png is a pipe, a socket or a device, not a picture file",
        "/dev/zero is a pipe, a socket or a device, not a picture file",
        None,
    ]
    result.stdout.encode()  # can be printed


def test_a_flag_that_is_not_utf_8_is_refused():
    result = call("--mode=summary", "--dataset=folder", f"--data_dir=/tmp/{MISNAMED}")
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert "--data_dir" in result.stderr and "not UTF-8" in result.stderr
