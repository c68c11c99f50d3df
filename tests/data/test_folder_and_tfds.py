"""Folders of pictures, and a tfds data set built here."""

import logging
import shutil
import sys

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from helpers.shard_writer import jpeg
from helpers.streams import eval_labels, train_batches
from tensorflow_datasets.core.download import downloader

from efficientnet_tf import data
from efficientnet_tf.config import DataConfig, UserError

CLASSES = ["ant", "bee", "cat"]
SPLIT_OF_SEED_0 = ["ant/7.jpg", "ant/3.jpg", "bee/1.jpg", "bee/9.jpg", "cat/3.jpg", "cat/8.jpg"]


def write_pictures(folder, count, classes=CLASSES):
    for number, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            (folder / name / f"{i}.jpg").write_bytes(jpeg(30 * number + i))


def folder_config(folder, **changes):
    return DataConfig(
        dataset="folder",
        data_dir=str(folder),
        image_size=32,
        resize_method="bicubic",
        train_batch_size=4,
        **changes,
    )


def names(source, kind):
    count = {"train": source.train_size, "eval": source.eval_size}[kind]
    return [getattr(source, f"name_{kind}")(i).numpy().decode() for i in range(count)]


@pytest.mark.slow
@pytest.mark.parametrize("evaluation", ["val", "validation", "test"])
def test_a_folder_with_two_splits(tmp_path, evaluation):
    write_pictures(tmp_path / "train", 3)
    write_pictures(tmp_path / evaluation, 2, CLASSES[1:])
    (tmp_path / "train" / "ant" / ".DS_Store").write_bytes(b"")
    source = data.open_source(folder_config(tmp_path))
    assert source.label_names == CLASSES and source.num_classes == 3
    assert (source.num_train_images, source.num_eval_images) == (9, 4)
    assert all(f"/{evaluation}/" in name for name in names(source, "eval"))
    assert sorted(eval_labels(folder_config(tmp_path), source)) == [1, 1, 2, 2]


def test_a_folder_without_splits_holds_out_a_fifth_of_every_class(tmp_path):
    write_pictures(tmp_path, 10)
    first = data.open_source(folder_config(tmp_path))
    assert (first.num_train_images, first.num_eval_images) == (24, 6)
    everything = names(first, "eval") + names(first, "train")
    assert sorted(everything) == sorted(map(str, tmp_path.glob("*/*.jpg")))
    assert [sum(f"/{name}/" in path for path in names(first, "eval")) for name in CLASSES] == [
        2
    ] * 3


def test_the_seed_decides_what_a_folder_without_splits_holds_out(tmp_path):
    write_pictures(tmp_path, 10)
    first, again, other = (
        names(data.open_source(folder_config(tmp_path, seed=seed)), "eval") for seed in (0, 0, 1)
    )
    assert first == again and first != other and len(first) == len(other)
    # Splits of runs made before the seed counted.
    assert [path.removeprefix(f"{tmp_path}/") for path in first] == SPLIT_OF_SEED_0


@pytest.mark.slow
def test_folder_training_sees_every_picture_and_resumes(tmp_path):
    write_pictures(tmp_path / "train", 4)
    config = folder_config(tmp_path)
    source = data.open_source(config)
    batches = list(data.train_dataset(source, config, 4).take(6))
    labels = np.stack([batch["label"].numpy().argmax(1) for batch in batches])
    np.testing.assert_array_equal(np.bincount(labels[:3].ravel()), [4, 4, 4])
    resumed = next(iter(data.train_dataset(source, config, 4, start_step=5)))
    np.testing.assert_array_equal(resumed["image"], batches[5]["image"])


@pytest.mark.slow
def test_files_that_are_not_pictures_are_left_out_and_counted(tmp_path, capfd):
    write_pictures(tmp_path / "train", 2)
    folder = tmp_path / "train" / "bee"
    png = tf.io.encode_png(np.zeros([40, 40, 3], np.uint8)).numpy()
    pictures = {"a.JPEG": jpeg(1), "b": jpeg(2), "c.dat": png, "d.jpg": png}
    others = {"Thumbs.db": b"\xd0\xcf\x11\xe0", "empty": b"", "readme.txt": b"RIFF"}
    for name, content in {**pictures, **others}.items():
        (folder / name).write_bytes(content)
    config = folder_config(tmp_path)
    source = data.open_source(config)
    assert capfd.readouterr().err == f"left out, not pictures: {folder}/Thumbs.db and 2 more\n"
    assert source.num_train_images == 6 + len(pictures)
    batches = data.train_dataset(source, config, 5).take(4)  # two epochs, without an error
    assert sum(len(batch["label"]) for batch in batches) == 20
    found = [f"{folder}/{name}" for name in (*sorted(pictures), "0.jpg", "1.jpg")]
    assert data.list_pictures(str(folder)) == sorted(found)
    (folder / "e.png").write_bytes(b"")
    with pytest.raises(UserError, match=f"{folder}/e.png is empty"):
        train_batches(config, 4)


def test_a_folder_to_classify_has_pictures(tmp_path):
    with pytest.raises(UserError, match="nowhere: no such folder"):
        data.list_pictures(str(tmp_path / "nowhere"))
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(UserError, match=f"{tmp_path} has no JPEG, PNG"):
        data.list_pictures(str(tmp_path))


@pytest.mark.slow
def test_a_bad_file_is_named(tmp_path):
    write_pictures(tmp_path / "val", 1)
    bad = tmp_path / "val" / "bee" / "0.jpg"
    bad.write_bytes(b"")
    config = folder_config(tmp_path)
    with pytest.raises(UserError, match=f"{bad} is empty; "):
        eval_labels(config)


@pytest.mark.slow
@pytest.mark.parametrize("split", ["train", "val"])
def test_a_folder_with_one_split_only(tmp_path, split):
    write_pictures(tmp_path / split, 1, ["ant"])
    config = folder_config(tmp_path)
    source = data.open_source(config)
    assert (source.num_train_images, source.num_eval_images).count(None) == 1
    make, other = data.train_dataset, data.eval_dataset
    if split == "val":
        make, other = other, make
    assert next(iter(make(source, config, 2)))["image"].shape == (2, 32, 32, 3)
    with pytest.raises(UserError, match="has no pictures to"):
        other(source, config, 2)


def test_bad_folders_are_one_line(tmp_path):
    with pytest.raises(UserError, match="is not a folder of pictures"):
        data.open_source(folder_config(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="has no folders of pictures"):
        data.open_source(folder_config(tmp_path))
    write_pictures(tmp_path / "train", 1)
    (tmp_path / "train" / "dog").mkdir()
    with pytest.raises(UserError, match=f"{tmp_path}/train/dog"):
        data.open_source(folder_config(tmp_path))
    (tmp_path / "train" / "dog").rmdir()
    write_pictures(tmp_path / "val", 1, ["wolf"])
    with pytest.raises(UserError, match="'wolf' to evaluate but none to train on"):
        data.open_source(folder_config(tmp_path))


class TinyPictures(tfds.core.GeneratorBasedBuilder):
    """Twelve pictures to train on and five to test, in three classes."""

    VERSION = tfds.core.Version("1.0.0")
    SPLITS = {"train": 12, "test": 5}

    def _info(self):
        features = {
            "id": tfds.features.Text(),
            "image": tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"),
            "label": tfds.features.ClassLabel(names=CLASSES),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", "label"),
        )

    def _split_generators(self, manager):
        return {name: self._generate_examples(count) for name, count in self.SPLITS.items()}

    def _generate_examples(self, count):
        for i in range(count):
            image = np.full((40, 50, 3), 10 * i, np.uint8)
            yield i, {"id": str(i), "image": image, "label": i % 3}


class TinyTrainingPictures(TinyPictures):
    """The same without a test split."""

    SPLITS = {"train": 12}


@pytest.fixture(scope="module")
def tfds_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tfds")
    for builder in (TinyPictures, TinyTrainingPictures):
        builder(data_dir=str(folder)).download_and_prepare()
    return folder


class ManualPictures(TinyPictures):
    """A data set whose files must be fetched by hand."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Register at https://example.org and download:
      1. pictures.tar
    """

    def _split_generators(self, manager):
        return {"train": self._generate_examples(len(str(manager.manual_dir)))}


def test_instructions_for_a_manual_download_are_kept(tmp_path):
    with pytest.raises(UserError, match="^--dataset=manual_pictures is not under") as error:
        data.open_source(tfds_config(tmp_path, "manual_pictures"))
    assert "manual" in str(error.value).splitlines()[0]
    assert str(error.value).endswith(
        "Register at https://example.org and download:\n  1. pictures.tar"
    )


def tfds_config(folder, name="tiny_pictures", **changes):
    return DataConfig(
        dataset=name,
        data_dir=str(folder),
        image_size=32,
        resize_method="bicubic",
        train_batch_size=4,
        **changes,
    )


@pytest.mark.slow
def test_tfds_knows_counts_names_and_splits(tfds_dir):
    config = tfds_config(tfds_dir)
    source = data.open_source(config)
    assert (source.num_train_images, source.num_eval_images) == (12, 5)
    assert source.label_names == CLASSES and source.num_classes == 3
    assert sorted(eval_labels(config, source)) == [0, 0, 1, 1, 2]
    # The picture is still encoded when the pipeline gets it.
    raw = next(iter(source.eval_stream(0, 1)))
    assert source.read_eval(raw).image.numpy()[:3] == b"\xff\xd8\xff"


@pytest.mark.slow
def test_tfds_trains_on_every_example_and_resumes(tfds_dir):
    config = tfds_config(tfds_dir)
    source = data.open_source(config)
    batches = list(data.train_dataset(source, config, 4).take(4))
    labels = np.concatenate([batch["label"].numpy().argmax(1) for batch in batches[:3]])
    np.testing.assert_array_equal(np.bincount(labels), [4, 4, 4])
    resumed = next(iter(data.train_dataset(source, config, 4, start_step=3)))
    np.testing.assert_array_equal(resumed["image"], batches[3]["image"])


@pytest.mark.slow
def test_tfds_without_an_evaluation_split_holds_out_a_tenth(tfds_dir):
    config = tfds_config(tfds_dir, "tiny_training_pictures")
    source = data.open_source(config)
    assert (source.num_train_images, source.num_eval_images) == (10, 2)
    evaluated = {int(raw["number"]) for raw in source.eval_stream(0, 1)}
    trained = {
        int(element["raw"]["number"]) for element in source.train_stream(0, 0, 0, 1).take(10)
    }
    assert sorted(evaluated | trained) == list(range(12)) and not evaluated & trained


def test_a_missing_tfds_file_is_named(tfds_dir, tmp_path):
    shutil.copytree(tfds_dir, tmp_path / "copy")
    (lost,) = (tmp_path / "copy").glob("tiny_pictures/1.0.0/*test.tfrecord*")
    lost.unlink()
    with pytest.raises(UserError, match=lost.name):
        data.open_source(tfds_config(tmp_path / "copy"))


def test_unknown_and_unprepared_names_are_one_short_line(tmp_path, monkeypatch, capfd):
    with pytest.raises(
        UserError, match="unknown --dataset=cifarr10; did you mean cifar10"
    ) as error:
        data.open_source(tfds_config(tmp_path, "cifarr10"))
    assert len(str(error.value)) < 200

    def offline(*args, **kwargs):
        print("Downloading", file=sys.stderr)
        raise ConnectionError("no route to host\nand a long story")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", offline)
    before, level = downloader.MAX_RETRIES, logging.root.manager.disable
    capfd.readouterr()
    with pytest.raises(UserError, match="could not be prepared: no route to host$"):
        data.open_source(tfds_config(tmp_path, "cifar10"))
    assert capfd.readouterr() == ("", "")
    assert (downloader.MAX_RETRIES, logging.root.manager.disable) == (before, level)
