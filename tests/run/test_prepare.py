"""Pictures and digits become TFRecord shards that evaluate to the same, to the image."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from helpers.command import TINY, call, last_result
from PIL import Image

from efficientnet_tf import data
from efficientnet_tf.config import DataConfig, UserError
from efficientnet_tf.data import prepare as prepare_module
from efficientnet_tf.data.sources.manifest import read_manifest
from efficientnet_tf.imagenet import synsets

pytestmark = pytest.mark.slow
FORMATS = [("JPEG", "RGB"), ("PNG", "RGB"), ("JPEG", "CMYK"), ("JPEG", "L")]


def write_pictures(folder, classes=("n01440764", "n01443537", "cat"), train=4, val=3):
    """Noise, written by Pillow in several formats that the files' names do not tell."""
    draws = np.random.RandomState(0)
    for split, count in (("train", train), ("val", val)):
        for name in classes:
            for number in range(count):
                kind, mode = FORMATS[number % len(FORMATS)]
                pixels = draws.randint(0, 256, (40 + number, 50, 3), np.uint8)
                path = folder / split / name / f"{number}.JPEG"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).convert(mode).save(path, kind)


def prepare(source, folder, *flags):
    result = call("--mode=prepare", f"--data_dir={source}", f"--prepared_dir={folder}", *flags)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    write_pictures(folder)
    return folder


@pytest.fixture(scope="module")
def prepared(pictures, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared")
    printed = prepare(pictures, folder, "--dataset=folder", "--num_shards=3,2")
    assert "12 images in 3 shards to train on, 9 images in 2 shards to evaluate" in printed
    return folder


def examples(folder, split):
    paths = sorted(str(path) for path in folder.glob(f"{split}-?????-of-?????"))
    return [tf.train.Example.FromString(r.numpy()) for r in tf.data.TFRecordDataset(paths)]


def feature(example, name):
    kind = example.features.feature[f"image/{name}"]
    return (kind.bytes_list.value or kind.int64_list.value)[0]


def test_records_are_the_pictures_byte_for_byte(pictures, prepared):
    for split, folder in (("train", "train"), ("validation", "val")):
        files = sorted(path.read_bytes() for path in (pictures / folder).rglob("*.JPEG"))
        assert sorted(feature(e, "encoded") for e in examples(prepared, split)) == files


def test_records_have_the_originals_features(pictures, prepared):
    found = examples(prepared, "train")
    names = "height width colorspace channels class/label class/synset class/text format filename"
    expected = {f"image/{name}" for name in (*names.split(), "encoded")}
    assert all(set(example.features.feature) == expected for example in found)
    by_class = {feature(e, "class/label"): e for e in found}
    assert sorted(by_class) == [1, 2, 3]  # cat, then the two WordNet ids
    tench = by_class[2]
    assert feature(tench, "class/synset") == b"n01440764"
    assert feature(tench, "class/text") == b"tench, Tinca tinca"
    assert feature(by_class[1], "class/synset") == b""
    assert feature(by_class[1], "class/text") == b"cat"
    for example in found:
        with Image.open(tf.io.gfile.GFile(_path(pictures, example), "rb")) as image:
            assert image.format.encode() == feature(example, "format")
            assert image.size == (feature(example, "width"), feature(example, "height"))


def _path(pictures, example):
    folder = ["cat", "n01440764", "n01443537"][feature(example, "class/label") - 1]
    return str(pictures / "train" / folder / feature(example, "filename").decode())


def test_the_order_is_shuffled_and_the_seeds_own(pictures, prepared, tmp_path):
    labels = [feature(e, "class/label") for e in examples(prepared, "validation")]
    assert labels != sorted(labels)
    flags = ("--dataset=folder", "--num_shards=3,2")
    prepare(pictures, tmp_path / "again", *flags)
    for path in prepared.glob("*-of-*"):
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()
    prepare(pictures, tmp_path / "other", *flags, "--seed=1")
    assert {p.name: p.read_bytes() for p in prepared.glob("train-*")} != {
        p.name: p.read_bytes() for p in (tmp_path / "other").glob("train-*")
    }


def images_by_label(config):
    source = data.open_source(config)
    batches = data.eval_dataset(source, config, 1).take(source.num_eval_images)
    pairs = [(int(b["label"][0]), b["image"].numpy().tobytes()) for b in batches]
    return sorted(pairs)


def test_the_network_sees_the_same_images(pictures, prepared):
    config = DataConfig(dataset="folder", data_dir=str(pictures), image_size=32)
    shards = DataConfig(dataset="tfrecord", data_dir=str(prepared), image_size=32)
    for one in (config, shards):
        assert data.open_source(one).label_names == ["cat", "n01440764", "n01443537"]
        assert data.open_source(one).num_train_images == 12
    resized = [
        images_by_label(DataConfig(**{**vars(one), "resize_method": "bicubic"}))
        for one in (config, shards)
    ]
    assert resized[0] == resized[1] and len(resized[0]) == 9


def test_a_run_trains_on_shards_and_evaluates_to_the_same_on_both(tmp_path):
    flags = ["--dataset=digits", "--num_shards=4,2"]
    printed = call("--mode=prepare", f"--prepared_dir={tmp_path / 'shards'}", *flags).stdout
    assert "1,437 images in 4 shards to train on, 360 images in 2 shards" in printed
    shards = ["--dataset=tfrecord", f"--data_dir={tmp_path / 'shards'}"]
    run = f"--model_dir={tmp_path / 'run'}"
    trained = call(*TINY, *shards, run, "--train_steps=2")
    assert trained.returncode == 0, trained.stderr
    from_digits = call("--mode=eval", *TINY, run)
    assert last_result(from_digits)["num_images"] == 360
    for number in ("top_1_accuracy", "loss"):
        assert last_result(from_digits)[number] == pytest.approx(last_result(trained)[number])


def test_an_interrupted_preparation_goes_on_where_it_was(pictures, prepared, tmp_path, monkeypatch):
    example, calls = prepare_module.example, []

    def fails(*arguments):
        calls.append(arguments)
        if len(calls) == 7:  # in the second shard
            raise KeyboardInterrupt
        return example(*arguments)

    monkeypatch.setattr(prepare_module, "example", fails)
    with pytest.raises(KeyboardInterrupt):
        prepare(pictures, tmp_path, "--dataset=folder", "--num_shards=3,2")
    with pytest.raises(UserError, match="is not finished: run the --mode=prepare"):
        data.open_source(DataConfig(dataset="tfrecord", data_dir=str(tmp_path)))
    other = call("--mode=prepare", f"--data_dir={pictures}", f"--prepared_dir={tmp_path}",
                 "--dataset=folder", "--num_shards=3,2", "--seed=5")  # fmt: skip
    assert "was begun with other data or flags" in other.stderr
    first = (tmp_path / "train-00000-of-00003").stat().st_mtime_ns
    prepare(pictures, tmp_path, "--dataset=folder", "--num_shards=3,2")
    assert (tmp_path / "train-00000-of-00003").stat().st_mtime_ns == first
    assert {p.name for p in tmp_path.iterdir()} == {p.name for p in prepared.iterdir()}
    for path in prepared.glob("*-of-*"):
        assert path.read_bytes() == (tmp_path / path.name).read_bytes()


def test_doing_it_again_checks_the_checksums(pictures, prepared, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(prepared, folder)
    assert "prepared before: all files are what" in prepare(pictures, folder, "--dataset=folder")
    shard = folder / "train-00001-of-00003"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    result = call("--mode=prepare", "--dataset=folder", f"--prepared_dir={folder}")
    assert (
        result.returncode == 1 and "train-00001-of-00003 is not what was written" in result.stderr
    )
    shard.write_bytes(content[:-1])
    with pytest.raises(
        UserError, match=r"train-00001-of-00003 has [\d,]+ bytes, [\d,]+ by manifest"
    ):
        data.open_source(DataConfig(dataset="tfrecord", data_dir=str(folder)))


def test_a_manifest_that_cannot_be_read_is_one_line(prepared, tmp_path):
    shutil.copytree(prepared, tmp_path / "copy")
    (tmp_path / "copy" / "manifest.json").write_text('{"classes": ')
    with pytest.raises(UserError, match=r"manifest.json is damaged"):
        data.open_source(DataConfig(dataset="tfrecord", data_dir=str(tmp_path / "copy")))


def test_undecodable_pictures_are_an_error_or_left_out(tmp_path):
    write_pictures(tmp_path / "pictures", train=4)
    broken = tmp_path / "pictures" / "train" / "cat" / "2.JPEG"
    broken.write_bytes(b"\xff\xd8\xff\xe0 no picture")
    flags = ["--mode=prepare", "--dataset=folder", f"--data_dir={tmp_path / 'pictures'}"]
    result = call(*flags, f"--prepared_dir={tmp_path / 'a'}")
    assert result.returncode == 1
    assert f"{broken} is corrupt or cut short; --max_bad_examples=N" in result.stderr
    result = call(*flags, f"--prepared_dir={tmp_path / 'b'}", "--max_bad_examples=1")
    assert result.returncode == 0 and f"left out: {broken}" in result.stderr
    assert read_manifest(str(tmp_path / "b")).num_images("train") == 11


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--dataset=folder"], "needs --dataset, --data_dir and --prepared_dir"),
        (["--prepared_dir=x"], "needs --dataset, --data_dir and --prepared_dir"),
        (["--dataset=synthetic", "--prepared_dir=x"], "--dataset=synthetic cannot be prepared"),
        (["--dataset=digits", "--prepared_dir=x", "--num_shards=4"], "must be two numbers"),
        (["--dataset=digits", "--prepared_dir=x", "--num_shards=4,0"], "0 validation shards for"),
        (["--dataset=digits", "--prepared_dir=x", "--num_eval_images=5"], "takes all images"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_one_line(tmp_path, monkeypatch, flags, words):
    monkeypatch.chdir(tmp_path)
    result = call("--mode=prepare", *flags)
    assert result.returncode == 1 and words in result.stderr
    assert not list(tmp_path.iterdir())


def test_shards_of_something_else_are_not_mixed_in(pictures, tmp_path):
    (tmp_path / "train-00000-of-00002").touch()
    result = call("--mode=prepare", "--dataset=folder", f"--data_dir={pictures}",
                  f"--prepared_dir={tmp_path}")  # fmt: skip
    assert result.returncode == 1 and "has shards already; name a new folder" in result.stderr


def test_the_manifest_tells_what_the_shards_hold(prepared):
    manifest = json.loads((prepared / "manifest.json").read_text())
    assert manifest["classes"] == ["cat", "n01440764", "n01443537"]
    assert [shard["num_images"] for shard in manifest["splits"]["train"]] == [4, 4, 4]
    assert [shard["num_images"] for shard in manifest["splits"]["validation"]] == [4, 5]


def test_shards_written_apart_are_the_same_files(pictures, prepared, tmp_path):
    """In any order, each by a call of its own, as many machines do."""
    config = DataConfig(dataset="folder", data_dir=str(pictures))
    counts = {"train": 3, "validation": 2}
    plans = prepare_module.plan_shards(data.open_source(config), counts)
    shards = [
        prepare_module.prepare_shard(plan, config, str(tmp_path), synsets()) for plan in plans[::-1]
    ]
    with pytest.raises(UserError, match="train-00000-of-00003 is missing; prepare it first"):
        prepare_module.finish(shards[:-1], config, str(tmp_path), counts)
    prepare_module.finish(shards, config, str(tmp_path), counts)
    assert read_manifest(str(tmp_path)) == read_manifest(str(prepared))
    for path in prepared.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


def test_shards_written_apart_count_what_they_leave_out(tmp_path):
    write_pictures(tmp_path / "pictures", train=4)
    broken = tmp_path / "pictures" / "train" / "cat" / "1.JPEG"
    broken.write_bytes(broken.read_bytes()[:99])
    config = DataConfig(dataset="folder", data_dir=str(tmp_path / "pictures"))
    counts, folder = {"train": 2}, str(tmp_path)
    (first, second) = prepare_module.plan_shards(data.open_source(config), counts)
    with pytest.raises(UserError, match="cat/1.JPEG is corrupt"):
        shards = [prepare_module.prepare_shard(plan, config, folder) for plan in (first, second)]
    tolerant = dataclasses.replace(config, max_bad_examples=1)
    shards = [prepare_module.prepare_shard(plan, tolerant, folder) for plan in (first, second)]
    with pytest.raises(UserError, match="cannot be decoded: 1; --max_bad_examples=1"):
        prepare_module.finish(shards, config, folder, counts)
    assert prepare_module.finish(shards, tolerant, folder, counts).num_images("train") == 11
