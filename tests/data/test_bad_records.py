"""Records that are no picture with a label: labels out of range or of another type, other keys."""

import pytest
import tensorflow as tf
from helpers.command import TINY, call
from helpers.shard_writer import jpeg, record, write_shards
from helpers.streams import config_for, eval_labels, train_batches

from efficientnet_tf.config import UserError
from efficientnet_tf.data.prepare import prepare
from efficientnet_tf.data.sources import open_source
from efficientnet_tf.data.sources.tfrecord import TFRecordSource

pytestmark = pytest.mark.slow
PICTURE, LABEL = "image/encoded", "image/class/label"


def feature(*values):
    kinds = {bytes: ("bytes_list", tf.train.BytesList), float: ("float_list", tf.train.FloatList)}
    name, kind = kinds.get(type(values[0]), ("int64_list", tf.train.Int64List))
    return tf.train.Feature(**{name: kind(value=values)})


def example(features):
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def labelled(*label):
    return example({PICTURE: feature(jpeg(9)), LABEL: feature(*label)})


NOT_AN_EXAMPLE = b"\xff\xfe\xfd"
BAD = {
    "32 bits later": (labelled(2**32 + 1), "has label 4294967297, outside 1..1000"),
    "31 bits": (labelled(2**31), "has label 2147483648, outside 1..1000"),
    "32 bits before": (labelled(3 - 2**32), "has label -4294967293, outside 1..1000"),
    "lowest": (labelled(-(2**63)), "has label -9223372036854775808, outside 1..1000"),
    "bytes": (labelled(b"3"), f"has bytes in {LABEL}, not one int64 value"),
    "float": (labelled(3.0), f"has float in {LABEL}, not one int64 value"),
    "two": (labelled(3, 4), f"has 2 values in {LABEL}, not one int64 value"),
    "nothing": (
        example({PICTURE: feature(jpeg(9)), LABEL: tf.train.Feature()}),
        f"has 0 values in {LABEL}, not one int64 value",
    ),
    "number": (
        example({PICTURE: feature(3), LABEL: feature(3)}),
        f"has int64 in {PICTURE}, not one bytes value",
    ),
    "no label": (example({PICTURE: feature(jpeg(9))}), f"lacks {LABEL}; it has {PICTURE}"),
    "other keys": (example({"image": feature(jpeg(9))}), f"lacks {PICTURE}, {LABEL}; it has image"),
    "odd key": (
        example({"im\x1b[31m\nage": feature(1)}),
        f"lacks {PICTURE}, {LABEL}; it has im.?.31m.*age",
    ),
    "many keys": (
        example({f"key{i}": feature(i) for i in range(25)}),
        f"lacks {PICTURE}, {LABEL}; it has key.* and 5 more",
    ),
    "not an example": (NOT_AN_EXAMPLE, "is damaged or not a tf.Example"),
    "empty": (b"", "is damaged or not a tf.Example"),
}


def among_good_ones(folder, split, bad):
    """Labels 1 to 5, and `bad` as record 3."""
    records = [record(jpeg(label), label) for label in range(1, 6)]
    return write_shards(folder, split, [[*records[:3], bad, *records[3:]]])[0]


@pytest.mark.parametrize(
    ("split", "kind"),
    [*(("validation", kind) for kind in BAD), ("train", "32 bits later"), ("train", "bytes")],
)
def test_a_bad_record_is_one_line_that_names_it(tmp_path, split, kind):
    bad, reason = BAD[kind]
    path, config = among_good_ones(tmp_path, split, bad), config_for(tmp_path)
    with pytest.raises(UserError, match=f"^{path} record 3 {reason}; repair") as error:
        train_batches(config, 2, 3) if split == "train" else eval_labels(config)
    assert str(error.value).isprintable()


@pytest.mark.parametrize(
    ("split", "kind"),
    [("train", "bytes"), ("validation", "32 bits later"), ("train", "other keys")],
)
def test_a_bad_record_is_skipped_and_counted(tmp_path, capfd, split, kind):
    bad, reason = BAD[kind]
    path, config = among_good_ones(tmp_path, split, bad), config_for(tmp_path, max_bad_examples=1)
    if split == "train":
        (batch,) = train_batches(config, 1, 6)
        labels = set(batch["label"].numpy().argmax(1))
    else:
        labels = set(eval_labels(config))
    assert labels == {0, 1, 2, 3, 4}
    assert f"skipped: {path} record 3 {reason}\n" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("num_classes", "label", "allowed"),
    [(1000, 0, "1..1000"), (1000, 1001, "1..1000"), (1001, 1001, "0..1000"), (7, 8, "1..7")],
)
def test_labels_just_outside(tmp_path, num_classes, label, allowed):
    among_good_ones(tmp_path, "validation", labelled(label))
    with pytest.raises(UserError, match=f"has label {label}, outside {allowed}"):
        eval_labels(config_for(tmp_path, num_classes=num_classes))


def test_the_background_is_a_label_of_1001_classes(tmp_path):
    among_good_ones(tmp_path, "validation", labelled(0))
    found = eval_labels(config_for(tmp_path, num_classes=1001))
    assert sorted(found) == [0, 1, 2, 3, 4, 5]


def test_the_command_line_says_it_without_a_traceback(tmp_path):
    path = among_good_ones(tmp_path / "data", "train", NOT_AN_EXAMPLE)
    flags = [flag for flag in TINY if not flag.startswith(("--dataset", "--train_batch"))]
    result = call(
        *flags, "--mode=train", f"--data_dir={tmp_path}/data", "--num_label_classes=10",
        "--train_batch_size=6", "--train_steps=2", f"--model_dir={tmp_path}/run",
    )  # fmt: skip
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith(
        f"error: {path} record 3 is damaged or not a tf.Example; "
    )


@pytest.mark.parametrize("kind", ["32 bits later", "bytes"])
def test_shards_that_are_prepared_again(tmp_path, kind, monkeypatch):
    bad, reason = BAD[kind]
    monkeypatch.setattr(TFRecordSource, "label_names", list("abcde"))
    path = among_good_ones(tmp_path / "data", "train", bad)
    again = tmp_path / "again"
    with pytest.raises(UserError, match=f"^{path} record 3 {reason.split(',')[0]}"):
        prepare(
            open_source(config_for(path.rpartition("/")[0], num_classes=5)), again, {"train": 1}
        )
    tolerant = config_for(path.rpartition("/")[0], num_classes=5, max_bad_examples=1)
    done = prepare(open_source(tolerant), tmp_path / "tolerant", {"train": 1})
    assert done.num_images("train") == 5
