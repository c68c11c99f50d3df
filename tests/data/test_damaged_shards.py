"""Shards with flipped bits, cut, missing or something else: named, located, or one record less."""

import struct
from pathlib import Path

import pytest
import tensorflow as tf
from helpers.shard_writer import write_imagenet
from helpers.streams import config_for, eval_labels, open_at, train_batches

from efficientnet_tf import data
from efficientnet_tf.config import UserError
from efficientnet_tf.data.sources.framing import read_past_damage
from efficientnet_tf.data.sources.shards import count_records

pytestmark = pytest.mark.slow


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


@pytest.mark.fault(
    "Records",
    "flipped bits in a shard",
    "named, or skipped and counted with --max_bad_examples",
)
def test_flipped_bits_are_named_or_skipped(tmp_path):
    (path,) = write_imagenet(tmp_path, "validation", [6])
    starts = record_starts(path)
    flip(path, starts[2] + 500)
    flip(path, starts[4] + 3)
    with pytest.raises(UserError, match=f"{path} record 2 is corrupted"):
        eval_labels(config_for(tmp_path))
    assert sorted(eval_labels(config_for(tmp_path, max_bad_examples=2))) == [0, 1, 3, 5]


@pytest.mark.parametrize("kept", [300, 6], ids=["in its content", "in its header"])
@pytest.mark.fault(
    "Records",
    "a shard cut inside a record",
    "named, or costs one record",
)
def test_a_shard_cut_inside_a_record_is_named_or_costs_one_record(tmp_path, kept):
    (path,) = write_imagenet(tmp_path, "validation", [6])
    cut(path, record_starts(path)[5] + kept)
    with pytest.raises(UserError, match=f"{path} (record 5 is truncated|with 5)"):
        eval_labels(config_for(tmp_path, num_eval_images=6))
    assert sorted(eval_labels(config_for(tmp_path, max_bad_examples=1))) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("split", ["train", "validation"])
@pytest.mark.fault(
    "Records",
    "a shard cut between two records",
    "shows in the count",
)
def test_a_shard_cut_between_records_shows_in_the_count(tmp_path, split):
    _, path = write_imagenet(tmp_path, split, [5, 5])
    cut(path, record_starts(path)[3])
    config = config_for(tmp_path, num_train_images=10, num_eval_images=10)
    with pytest.raises(UserError, match="8 records where 10 were announced") as error:
        train_batches(config, 6) if split == "train" else eval_labels(config)
    assert f"the shortest is {path} with 3" in str(error.value)


@pytest.mark.fault(
    "Records",
    "a file that is no TFRecord",
    "named",
)
def test_a_shard_that_is_not_a_tfrecord_is_named(tmp_path):
    path = tmp_path / "validation-00000-of-00001"
    path.write_bytes(b"<html>404 Not Found</html>" * 40)
    with pytest.raises(UserError, match=f"{path} record 0 is corrupted"):
        eval_labels(config_for(tmp_path))


@pytest.mark.fault(
    "Records",
    "a shard that disappears",
    "named",
)
def test_a_shard_that_disappears_is_named(tmp_path):
    paths = write_imagenet(tmp_path, "validation", [5, 5])
    source = data.open_source(config_for(tmp_path))
    tmp_path.joinpath(paths[1]).unlink()
    with pytest.raises(tf.errors.OpError) as error:
        list(data.eval_dataset(source, config_for(tmp_path), 4).take(4))
    assert f"{paths[1]} has disappeared" in str(data.explain(error.value, source))
