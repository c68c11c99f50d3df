"""Shards whose number of records nobody says: counted, kept, and what is missing told."""

import json
import os
from pathlib import Path

import pytest
import tensorflow as tf
from helpers.shard_writer import write_imagenet
from helpers.streams import config_for, eval_labels, open_at

from efficientnet_tf.config import UserError
from efficientnet_tf.data.sources import record_counts
from efficientnet_tf.data.sources.manifest import Manifest, Shard
from efficientnet_tf.data.sources.record_counts import COUNTS

EIGHT = [3, 1, 4]


@pytest.fixture
def shards(tmp_path):
    return write_imagenet(tmp_path, "train", EIGHT)


@pytest.fixture
def counted(monkeypatch):
    """The shards whose headers are read, a list for each time; nothing is remembered before."""
    calls, count = [], record_counts.count_records
    monkeypatch.setattr(record_counts, "_in_memory", {})
    monkeypatch.setattr(
        record_counts, "count_records", lambda paths: calls.append(paths) or count(paths)
    )
    return calls


def test_shards_are_counted_once_and_again_when_they_change(tmp_path, shards, counted, capfd):
    assert [open_at(tmp_path).num_train_images for _ in range(2)] == [8, 8]
    assert counted == [shards] and not capfd.readouterr().err
    kept = json.loads((tmp_path / COUNTS).read_text())
    sizes = [os.path.getsize(path) for path in shards]
    assert [row[::2] for row in kept.values()] == [list(p) for p in zip(sizes, EIGHT, strict=True)]
    with tf.io.TFRecordWriter(shards[1]) as writer:
        for _ in range(5):
            writer.write(b"")
    assert [open_at(tmp_path).num_train_images for _ in range(2)] == [12, 12]
    assert counted[1:] == [shards[1:2]]
    warnings = capfd.readouterr().err.splitlines()
    assert warnings == [f"warning: {shards[1]} holds 5 records, 1 when last counted"]


def test_another_time_of_modification_is_another_shard(tmp_path, shards, counted):
    assert open_at(tmp_path).num_train_images == 8
    os.utime(shards[2], ns=(0, 0))
    assert open_at(tmp_path).num_train_images == 8
    assert counted == [shards, shards[2:]]


@pytest.mark.parametrize("split", ["train", "validation"])
@pytest.mark.fault(
    "Records",
    "an empty shard",
    "told at each start",
)
def test_shards_of_no_length_are_told_each_time(tmp_path, counted, capfd, split):
    paths = write_imagenet(tmp_path, split, [3, 3, 3])
    for path in paths[1:]:
        Path(path).write_bytes(b"")
    for _ in range(2):
        source = open_at(tmp_path)
        assert (source.num_train_images if split == "train" else source.num_eval_images) == 3
        (line,) = capfd.readouterr().err.splitlines()
        told = "holds no records: fetch it again, unless it should be empty, and 1 more like it"
        assert line == f"warning: {paths[1]} {told}"
    assert len(counted) == 1


@pytest.mark.parametrize("content", ["", "[]", "{", '{"train-00000-of-00003": [1, 2]}', "\0"])
@pytest.mark.fault(
    "Records",
    "the kept counts are damaged",
    "counted anew",
)
def test_a_damaged_file_of_counts_is_counted_anew(tmp_path, shards, counted, content):
    (tmp_path / COUNTS).write_text(content)
    assert open_at(tmp_path).num_train_images == 8 and counted == [shards]
    assert len(json.loads((tmp_path / COUNTS).read_text())) == 3


def test_a_folder_that_cannot_be_written_to_is_counted_once_all_the_same(
    tmp_path, shards, counted, monkeypatch
):
    def refuse(*_, **__):
        raise tf.errors.PermissionDeniedError(None, None, "read-only")

    monkeypatch.setattr(tf.io.gfile, "rename", refuse)
    assert [open_at(tmp_path).num_train_images for _ in range(2)] == [8, 8]
    assert counted == [shards] and not (tmp_path / COUNTS).exists()


@pytest.mark.fault(
    "Records",
    "counts by flags that are not those of the shards",
    "one line with the shortest shard",
)
def test_said_counts_are_taken_unread_and_compared_with_known_ones(tmp_path, shards, counted):
    said = {"num_train_images": 9}
    source = open_at(tmp_path, **said)
    assert source.num_train_images == 9 and not counted and not (tmp_path / COUNTS).exists()
    assert open_at(tmp_path).num_train_images == 8
    with pytest.raises(
        UserError,
        match="^--num_train_images: 9 images announced, .* only 8 .*00001-of-00003 with 1",
    ):
        open_at(tmp_path, **said).num_train_images  # noqa: B018
    assert open_at(tmp_path, num_train_images=5).num_train_images == 5
    os.utime(shards[0], ns=(0, 0))  # what was known is of another shard
    assert open_at(tmp_path, **said).num_train_images == 9
    assert len(counted) == 1


def test_a_manifest_is_compared_with_what_was_said(tmp_path, counted):
    (path,) = write_imagenet(tmp_path, "validation", [4])
    shard = Shard(os.path.basename(path), 4, os.path.getsize(path), "")
    Manifest(list("abcd"), {}, {"validation": [shard]}).save(str(tmp_path), "manifest.json")
    assert open_at(tmp_path).num_eval_images == 4
    assert open_at(tmp_path, num_eval_images=3).num_eval_images == 3
    with pytest.raises(UserError, match="--num_eval_images: 5 images announced.*only 4"):
        open_at(tmp_path, num_eval_images=5).num_eval_images  # noqa: B018
    assert not counted and not (tmp_path / COUNTS).exists()


def test_a_shard_that_cannot_be_read_is_one_line(tmp_path, shards, counted):
    Path(shards[1]).unlink()
    Path(shards[1]).mkdir()
    with pytest.raises(UserError, match=f"^{shards[1]} cannot be read: Is a directory$"):
        open_at(tmp_path).num_train_images  # noqa: B018


@pytest.mark.slow
@pytest.mark.parametrize("host_count", [1, 2])
@pytest.mark.fault(
    "Records",
    "a record whose header is cut off",
    "an error, not one image fewer",
)
def test_an_evaluation_misses_no_record_whose_header_is_cut_off(tmp_path, host_count):
    """TensorFlow's reader takes such a record for the end of the file."""
    paths = write_imagenet(tmp_path, "validation", [2, 3])
    whole = Path(paths[1]).read_bytes()
    size = int.from_bytes(whole[:8], "little") + 16
    Path(paths[1]).write_bytes(whole[: 2 * size + 6])
    share = 3 if host_count == 2 else 5
    with pytest.raises(UserError, match=f"{share - 1} records where {share} were announced"):
        eval_labels(config_for(tmp_path), host_index=host_count - 1, host_count=host_count)
    found = eval_labels(config_for(tmp_path, max_bad_examples=1))
    assert sorted(found) == [0, 1, 2, 3]
