"""Forged indices of TensorFlow's checkpoints, and state files that lead elsewhere."""

import logging
import os
import shutil
import struct
import subprocess
import sys

import pytest
import tensorflow as tf
from helpers.forged_bundle import read_table, shape, varint, write_table
from helpers.fuzz_weights import INDEX
from helpers.refusal import line, peak_megabytes

from efficientnet_tf.config import UserError
from efficientnet_tf.weights.formats.bundle_index import _uncompressed, read_index
from efficientnet_tf.weights.formats.tf1_checkpoint import checkpoint_prefix


@pytest.fixture
def tf1(network, tmp_path):
    return shutil.copytree(network[1] / "tf1", tmp_path / "tf1")


@pytest.mark.parametrize("name", ["{0}/secret/model.ckpt", "../secret/model.ckpt"])
@pytest.mark.fault(
    "Weights",
    "a `checkpoint` file that leads out of its folder",
    "its last part counts, said",
)
def test_a_state_file_does_not_lead_out_of_its_folder(tf1, tmp_path, caplog, name):
    shutil.copytree(tf1, tmp_path / "secret")
    name = name.format(tmp_path)
    (tf1 / "checkpoint").write_text(f'model_checkpoint_path: "{name}"\n')
    with caplog.at_level(logging.WARNING):
        assert checkpoint_prefix(str(tf1)) == f"{tf1}/model.ckpt"
    assert [r.message for r in caplog.records] == [
        f"{tf1}: its file 'checkpoint' names {os.path.join(tf1, name)}; {tf1}/model.ckpt is taken"
    ]
    for file in tf1.glob("model.ckpt.*"):
        file.unlink()
    with pytest.raises(UserError, match=r"no checkpoint \(\*\.index\) in this directory"):
        checkpoint_prefix(str(tf1))


@pytest.mark.parametrize("state", [b"", b"\xff\xfe", b"model_checkpoint_path: 5", b"\0"])
def test_a_damaged_state_file_does_not_matter(tf1, state):
    (tf1 / "checkpoint").write_bytes(state)
    assert checkpoint_prefix(str(tf1)) == f"{tf1}/model.ckpt"


def test_the_index_is_read_as_tensorflow_reads_it(tf1):
    found = read_index(str(tf1 / INDEX))
    reader = tf.train.load_checkpoint(str(tf1 / "model.ckpt"))
    assert {n: list(e.shape) for n, e in found.items()} == reader.get_variable_to_shape_map()
    assert {n: e.dtype for n, e in found.items()} == reader.get_variable_to_dtype_map()
    table = (tf1 / INDEX).read_bytes()
    (tf1 / INDEX).write_bytes(write_table(read_table(table)))
    assert read_index(str(tf1 / INDEX)) == found


def test_snappy():
    """By hand, from its format description: a literal, an overlapping copy, a copy of 2 bytes."""
    packed = bytes([14, 3 << 2]) + b"abcd" + bytes([(6 - 4) << 2 | 1, 2, (4 - 1) << 2 | 2, 10, 0])
    assert _uncompressed(packed) == b"abcd" + b"cdcdcd" + b"abcd"
    long = bytes([*varint(300), 61 << 2]) + struct.pack("<H", 299) + b"x" * 300
    assert _uncompressed(long) == b"x" * 300
    with pytest.raises(ValueError):
        _uncompressed(b"\xff\xff\x03" + packed[1:])


INDICES = {
    "negative side": shape(-5),
    "two negative sides": shape(-8, -1, 3, 3),
    "too many numbers": shape(1 << 62, 1 << 62),
    "too many numbers, of none": shape(0, 1 << 40, 1 << 40),
    "too many sides": shape(*[1] * 300),
    "no rank": b"\x12\x02\x18\x01",
    "16 GB": shape(1 << 32),
    "16 GB that are said to be there": shape(1 << 32) + b"\x28" + varint(1 << 34),
    "a size of another shape": b"\x28" + varint(12),
    "a string": b"\x08\x07",
    "an unknown dtype": b"\x08\x63",
    "no message": b"\xff" * 20,
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", INDICES)
@pytest.mark.fault(
    "Weights",
    "a forged index: negative, huge or overlapping shapes",
    "refused before anything is allocated",
)
def test_a_forged_index_is_refused(network, tf1, fault):
    """TensorFlow itself ends the process at the first of these."""
    entries = read_table((tf1 / INDEX).read_bytes())
    for key in [key for key in entries if b"stem/conv2d/kernel" in key]:
        # A later field replaces one before it, but a shape is merged: it is left out first.
        start = entries[key].index(b"\x12")
        rest = entries[key][:start] + entries[key][start + 2 + entries[key][start + 1] :]
        keeps_shape = INDICES[fault][:1] != b"\x12"
        entries[key] = (entries[key] if keeps_shape else rest) + INDICES[fault]
    (tf1 / INDEX).write_bytes(write_table(entries))
    if "said to be" in fault:
        os.truncate(tf1 / "model.ckpt.data-00000-of-00001", 20 << 30)
    before = peak_megabytes()
    line(network[0], tf1 / INDEX)
    assert peak_megabytes() - before < 100


@pytest.mark.slow
def test_tensorflow_would_not_survive_a_negative_side(tf1):
    """Why the index is read twice: this may be mended one day."""
    entries = read_table((tf1 / INDEX).read_bytes())
    (tf1 / INDEX).write_bytes(write_table({**entries, b"x": b"\x08\x01" + shape(-5)}))
    code = f"import tensorflow as tf; tf.train.load_checkpoint({str(tf1 / 'model.ckpt')!r})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == -6
