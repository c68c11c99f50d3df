"""Pictures with any number of labels: from CSV files, class folders and data sets of one's own."""

import numpy as np
import pytest
import tensorflow as tf
from helpers.shard_writer import jpeg

from efficientnet_tf import data
from efficientnet_tf.config import DataConfig, UserError

HEADER = "file,labels\n"


def config_of(folder, dataset="csv", **changes):
    return DataConfig(
        dataset=dataset,
        data_dir=str(folder),
        image_size=32,
        resize_method="bicubic",
        train_batch_size=4,
        min_crop_area=1.0,
        horizontal_flip=False,
        **changes,
    )


def write(folder, **files):
    """Pictures `0.jpg` to `9.jpg`, and CSV files."""
    for number in range(10):
        (folder / f"{number}.jpg").write_bytes(jpeg(10 * number))
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text)
    return config_of(folder)


def refusal(folder, **files):
    with pytest.raises(UserError) as error:
        data.open_source(write(folder, **files))
    assert "\n" not in str(error.value)
    return str(error.value)


def eval_examples(config, source):
    """Mean pixel and label of each picture up to the padding."""
    for batch in data.eval_dataset(source, config, 4):
        for image, label in zip(batch["image"].numpy(), batch["label"].numpy(), strict=True):
            if label.min() < 0:
                assert (label == -1).all() and not image.any()
                return
            yield image.mean(), label.tolist()


@pytest.mark.parametrize("tolerated", [0, 1])
def test_labels_of_a_csv_file_go_with_their_pictures(tmp_path, tolerated):
    train = HEADER + "1.jpg,cat;indoors\n2.jpg,\n3.jpg,boat\n./4.jpg, cat | boat \n"
    config = write(
        tmp_path, train=train, val="\ufeff" + HEADER + "9.jpg,cat\n7.jpg,\n8.jpg,boat;cat\n"
    )
    config = config_of(tmp_path, max_bad_examples=tolerated)
    source = data.open_source(config)
    assert source.label_names == ["boat", "cat", "indoors"] and source.is_multi_label
    counts, pictures = source.train_class_counts()
    assert counts.tolist() == [2, 2, 1] and pictures == 4
    batch = next(iter(data.train_dataset(source, config, 4)))
    shown = set(map(tuple, batch["label"].numpy()))
    assert shown == {(0, 1, 1), (0, 0, 0), (1, 0, 0), (1, 1, 0)}
    found = sorted(eval_examples(config, source))
    assert [label for _, label in found] == [[0, 0, 0], [1, 1, 0], [0, 1, 0]]


def test_a_csv_file_of_one_label_each_is_split_like_a_folder(tmp_path):
    rows = "".join(f"{i}.jpg,{'ab'[i % 2]}\n" for i in range(10))
    config = write(tmp_path, labels=HEADER + rows)
    for i in range(10):
        (tmp_path / "folders" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        (tmp_path / "folders" / "ab"[i % 2] / f"{i}.jpg").write_bytes(jpeg(10 * i))
    found, expected = (
        list(data.eval_dataset(data.open_source(config), config, 2).take(1).as_numpy_iterator())
        for config in (config, config_of(tmp_path / "folders", "folder"))
    )
    assert found[0]["label"].tolist() == [0, 1]
    np.testing.assert_array_equal(found[0]["image"], expected[0]["image"])


def test_every_label_has_a_fifth_held_out(tmp_path):
    """Rare labels too, whose pictures have frequent ones beside them."""
    random, rows = np.random.RandomState(0), {}
    for i in range(200):
        labels = [
            name
            for name, share in zip("abcd", (0.9, 0.5, 0.1, 0.05), strict=True)
            if random.rand() < share
        ]
        rows[f"{i}.jpg"] = labels
        (tmp_path / f"{i}.jpg").write_bytes(b"")
    text = "".join(f"{name},{';'.join(labels)}\n" for name, labels in rows.items())
    (tmp_path / "labels.csv").write_text(HEADER + text)
    splits = []
    for seed in (0, 0, 1):
        source = data.open_source(config_of(tmp_path, seed=seed))
        splits.append({source.name_eval(i).numpy().decode() for i in range(source.eval_size)})
        held = [rows[path.rpartition("/")[2]] for path in splits[-1]]
        for name in "abcd":
            all_of = sum(name in labels for labels in rows.values())
            assert sum(name in labels for labels in held) == pytest.approx(all_of / 5, abs=3)
        train = {source.name_train(i).numpy().decode() for i in range(source.train_size)}
        assert len(train | splits[-1]) == 200 and not train & splits[-1]
    assert splits[0] == splits[1] != splits[2]


def test_a_bad_csv_file_is_one_line(tmp_path, capfd):
    assert "neither labels.csv nor train.csv" in refusal(tmp_path)
    assert "begins with 'name,class'" in refusal(tmp_path, labels="name,class\n0.jpg,a\n")
    assert "line 3 has 3 columns" in refusal(tmp_path, labels=HEADER + "0.jpg,a\n1.jpg,a,b\n")
    assert "line 4 names 0.jpg again" in refusal(
        tmp_path, labels=HEADER + "0.jpg,a\n1.jpg,a\n0.jpg,b\n"
    )
    missing = refusal(tmp_path, labels=HEADER + "0.jpg,a\nx.jpg,a\ny.jpg,b\n")
    assert "2 of 3 pictures" in missing and "x.jpg" in missing
    assert "has no labels" in refusal(tmp_path, labels=HEADER + "0.jpg,\n")
    assert "in train.csv and in val.csv" in refusal(
        tmp_path, train=HEADER + "0.jpg,a", val=HEADER + "0.jpg,a"
    )
    capfd.readouterr()
    unknown = refusal(tmp_path, train=HEADER + "0.jpg,a", val=HEADER + "1.jpg,b")
    assert "'b' to evaluate but none to train on" in unknown
    assert (
        f"left out, without a line of labels: {tmp_path}/2.jpg and 7 more" in capfd.readouterr().err
    )


def test_copies_in_several_class_folders_are_one_picture_with_several_labels(tmp_path, capfd):
    for name in ("cat", "dog", "pet"):
        (tmp_path / name).mkdir()
        for i in range(5):
            (tmp_path / name / f"{i}.jpg").write_bytes(jpeg(10 * i + len(name) * ord(name[0]) % 7))
    for name in ("cat", "dog"):  # one of each is also a pet; 0.jpg of pet stays another picture
        (tmp_path / "pet" / f"{name}.jpg").write_bytes(jpeg(99 if name == "cat" else 77))
        (tmp_path / name / f"{name}.jpg").symlink_to(tmp_path / "pet" / f"{name}.jpg")
    alone = data.open_source(config_of(tmp_path, "folder"))
    assert not alone.is_multi_label and alone.train_size + alone.eval_size == 19
    capfd.readouterr()
    source = data.open_source(config_of(tmp_path, "folder", multi_label=True))
    assert "2 of 17 pictures lie in several class folders" in capfd.readouterr().err
    assert source.is_multi_label and source.train_size + source.eval_size == 17
    config = config_of(tmp_path, "folder", multi_label=True)
    labels = [
        tuple(x)
        for b in data.train_dataset(source, config, source.train_size).take(1)
        for x in b["label"].numpy()
    ]
    labels += [tuple(label) for _, label in eval_examples(config, source)]
    assert sorted(labels) == sorted([(1, 0, 0), (0, 1, 0), (0, 0, 1)] * 5 + [(1, 0, 1), (0, 1, 1)])


def test_a_data_set_of_vectors_has_several_labels():
    images, labels = tf.zeros([3, 40, 40, 3], tf.uint8), tf.constant([[1, 0], [1, 1], [0, 0]])
    pairs = tf.data.Dataset.from_tensor_slices((images, labels))
    source = data.DatasetSource(pairs, pairs, num_classes=2)
    assert source.is_multi_label
    config = DataConfig(image_size=32, resize_method="bicubic", train_batch_size=3)
    batch = next(iter(data.train_dataset(source, config, 3)))
    np.testing.assert_array_equal(batch["label"], labels)
    with pytest.raises(UserError, match="vector of 5"):
        data.DatasetSource(pairs, pairs, num_classes=5)
    bad = tf.data.Dataset.from_tensor_slices((images, labels * 2))
    with pytest.raises(UserError, match="has a label outside 0..1") as error:
        try:
            next(iter(data.eval_dataset(data.DatasetSource(None, bad, 2), config, 3)))
        except tf.errors.OpError as problem:
            raise data.explain(problem) from problem
    assert "evaluation example 0" in str(error.value)


def test_a_background_class_has_no_place_beside_several_labels(tmp_path):
    config = write(tmp_path, labels=HEADER + "".join(f"{i}.jpg,a;b\n" for i in range(10)))
    with pytest.raises(UserError, match="background already"):
        data.open_source(config_of(tmp_path, num_classes=3))
    assert data.open_source(config).background(2) == 0
