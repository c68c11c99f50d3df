"""Images per second of the input pipeline and its parts, against its peers, in one run.

    python benchmarks/pipeline.py [--data_dir=<TFRecords>] [--rounds=9]

Candidates take turns of a second, round after round, on the same images and cores. The table shows
the median rate, the median over the rounds of its ratio to the original's algorithm, and the
processor time of an image, which other load on the machine disturbs least. The default images are
crops of scikit-learn's two photographs. Peers that are not installed are left out: keras-cv, and
PIL with timm's policies.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import keras
import numpy as np
import original_augment
import pil_peer
import tensorflow as tf

from efficientnet_tf.config import DataConfig
from efficientnet_tf.data import AutoAugment, RandAugment, open_source, train_dataset
from efficientnet_tf.data.augment.compiled import plain_graph
from efficientnet_tf.data.augment.randaugment import OPERATIONS as RAND_OPERATIONS

SIZE, BATCH, CORES = 224, 32, 2
PHOTO = (375, 500)  # about the median size of an ImageNet picture
# From the seconds of a turn to the images it made, the seconds it took, and the processor's.
Turn = Callable[[float], tuple[int, float, float]]


def photographs(data_dir: str | None, count: int = 64) -> list[bytes]:
    """JPEG files: the first of a TFRecord set, or crops of scikit-learn's photographs."""
    if data_dir:
        files = sorted(tf.io.gfile.glob(os.path.join(data_dir, "*-of-*")))
        features = {"image/encoded": tf.io.FixedLenFeature([], tf.string)}
        records = tf.data.TFRecordDataset(files).take(count)
        parsed = records.map(lambda x: tf.io.parse_single_example(x, features)["image/encoded"])
        return list(parsed.as_numpy_iterator())
    from sklearn.datasets import load_sample_images

    random = np.random.default_rng(0)
    encoded = []
    for i in range(count):
        photo = load_sample_images().images[i % 2]
        y, x = (random.integers(0, n - m + 1) for n, m in zip(photo.shape, PHOTO, strict=False))
        crop = photo[y : y + PHOTO[0], x : x + PHOTO[1]]
        encoded.append(tf.io.encode_jpeg(crop, quality=92).numpy())
    return encoded


def squares(encoded: list[bytes]) -> np.ndarray:
    """`uint8 [N, 224, 224, 3]`: the centre of each picture."""
    decoded = (tf.io.decode_jpeg(x, channels=3) for x in encoded)
    resized = [tf.image.resize(tf.image.central_crop(x, 0.8), [SIZE, SIZE]) for x in decoded]
    return np.array(resized).astype(np.uint8)


def settle() -> None:
    """Waits until no thread of this process works: a turn leaves batches in the making behind."""
    while True:
        before = time.process_time()
        time.sleep(0.05)
        if time.process_time() - before < 0.005:
            return


def of_dataset(dataset: tf.data.Dataset, batch: int = BATCH) -> Turn:
    """Turns of an endless dataset of batches. Its iterator lives through all of them."""
    options = tf.data.Options()
    options.threading.private_threadpool_size = CORES
    options.threading.max_intra_op_parallelism = 1
    iterator = iter(dataset.with_options(options))

    def pull(seconds: float) -> int:
        batches, start = 0, time.perf_counter()
        while batches == 0 or time.perf_counter() - start < seconds:
            next(iterator)
            batches += 1
        return batches

    def turn(seconds: float) -> tuple[int, float, float]:
        pull(seconds / 2)  # empties the buffers, however deep, that filled between the turns
        start, processor = time.perf_counter(), time.process_time()
        images = pull(seconds) * batch
        return images, time.perf_counter() - start, time.process_time() - processor

    return turn


def mapped(elements: Iterable, function: Callable) -> Turn:
    """Element by element, then batched."""
    dataset = tf.data.Dataset.from_tensor_slices(elements).cache().repeat()
    return of_dataset(dataset.map(function, num_parallel_calls=CORES).batch(BATCH).prefetch(1))


def mapped_batches(images: np.ndarray, layer: Callable) -> Turn:
    """Batch by batch, as keras-cv's and Keras' layers are meant to be used; small ones."""
    dataset = tf.data.Dataset.from_tensor_slices(images).cache().repeat().batch(8)
    return of_dataset(dataset.map(layer, num_parallel_calls=CORES).prefetch(1), 8)


def in_plain_graph(make: Callable[[], Turn]) -> Turn:
    with plain_graph():
        return make()


def original_decode(encoded: tf.Tensor) -> tf.Tensor:
    """The original's decode, distorted crop, resize and flip."""
    begin, extent, _ = tf.image.sample_distorted_bounding_box(
        tf.io.extract_jpeg_shape(encoded),
        tf.constant([[[0.0, 0.0, 1.0, 1.0]]]),
        min_object_covered=0.1,
        aspect_ratio_range=(3 / 4, 4 / 3),
        area_range=(0.08, 1.0),
        max_attempts=10,
    )
    window = tf.concat([begin[:2], extent[:2]], 0)
    image = tf.image.decode_and_crop_jpeg(encoded, window, channels=3)
    image = tf.raw_ops.ResizeBicubic(images=image[None], size=[SIZE, SIZE])[0]
    return tf.image.random_flip_left_right(image)


def original_pipeline(encoded: tf.Tensor) -> tf.Tensor:
    pixels = tf.cast(tf.clip_by_value(original_decode(encoded), 0.0, 255.0), tf.uint8)
    pixels = tf.ensure_shape(pixels, [SIZE, SIZE, 3])
    return tf.cast(original_augment.auto_augment(pixels), tf.float32)


def training_set(encoded: list[bytes]) -> str:
    """The pictures as a TFRecord training set; returns its folder."""
    folder = tempfile.mkdtemp()
    with tf.io.TFRecordWriter(str(Path(folder) / "train-00000-of-00001")) as writer:
        for image in encoded:
            features = {
                "image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image])),
                "image/class/label": tf.train.Feature(int64_list=tf.train.Int64List(value=[1])),
            }
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())
    return folder


def our_pipeline(folder: str, count: int, **options: object) -> Turn:
    config = DataConfig(
        dataset="tfrecord", data_dir=folder, image_size=SIZE, num_classes=1000,
        num_train_images=count, use_cache=True, train_batch_size=BATCH, resize_method="bicubic",
        **options,
    )  # fmt: skip
    return of_dataset(train_dataset(open_source(config), config, BATCH))


def candidates(encoded: list[bytes]) -> dict[str, dict[str, Turn]]:
    """Per part of the pipeline, its candidates; the first is the yardstick."""
    images = squares(encoded)
    folder = training_set(encoded)
    workers = pil_peer.Workers(CORES, images, encoded)

    def pil(name: str) -> dict[str, Turn]:
        return {"PIL, 2 processes": lambda seconds: workers.run(name, seconds)}

    original_rand = lambda x: original_augment.rand_augment(x, RAND_OPERATIONS)  # noqa: E731
    return {
        "(a) decode + random crop + flip": {
            "original's algorithm": mapped(encoded, original_decode),
            "efficientnet_tf": our_pipeline(folder, len(encoded)),
            **pil("decode"),
        },
        "(b) AutoAugment v0": {
            "original's algorithm": mapped(images, original_augment.auto_augment),
            "efficientnet_tf": mapped(images, AutoAugment()),
            "efficientnet_tf without XLA": in_plain_graph(lambda: mapped(images, AutoAugment())),
            **pil("autoaugment"),
        },
        "(c) RandAugment 2x10": {
            "original's algorithm": mapped(images, original_rand),
            "efficientnet_tf": mapped(images, RandAugment(2, 10)),
            "efficientnet_tf without XLA": in_plain_graph(
                lambda: mapped(images, RandAugment(2, 10))
            ),
            "keras-cv RandAugment": keras_cv_layer(images),
            "Keras RandAugment": mapped_batches(
                images, keras.layers.RandAugment((0, 255), num_ops=2, factor=1.0)
            ),
            **pil("randaugment"),
        },
        "(d) training pipeline with AutoAugment": {
            "original's algorithm": mapped(encoded, original_pipeline),
            "efficientnet_tf": our_pipeline(folder, len(encoded), augment_name="autoaugment"),
            **pil("pipeline"),
        },
    }


def keras_cv_layer(images: np.ndarray) -> Turn:
    try:
        import keras_cv
    except ImportError:
        return lambda _: (0, 0.0, 0.0)
    return mapped_batches(images, keras_cv.layers.RandAugment((0, 255), 2, magnitude=1.0))


def report(part: str, turns: dict[str, list[tuple[int, float, float]]]) -> None:
    rates = {name: [n / wall for n, wall, _ in ts] for name, ts in turns.items() if ts[0][0]}
    yardstick = next(iter(rates.values()))
    print(f"\n| {part} | images/s | to the original | processor ms/image |\n|---|---:|---:|---:|")
    for name, rate in rates.items():
        ratio = statistics.median(x / y for x, y in zip(rate, yardstick, strict=True))
        cost = statistics.median(1000 * processor / n for n, _, processor in turns[name])
        print(f"| {name} | {statistics.median(rate):,.0f} | {ratio:.2f} | {cost:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data_dir", help="TFRecords with image/encoded; default: scikit-learn's")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=1.0, help="of one candidate's turn")
    parser.add_argument("--parts", default="abcd", help="letters of the parts to run")
    parser.add_argument("--results", type=Path, help="gets a line of JSON for each candidate")
    arguments = parser.parse_args()
    for part, competitors in candidates(photographs(arguments.data_dir)).items():
        if part[1] not in arguments.parts:
            continue
        turns: dict[str, list[tuple[int, float, float]]] = {name: [] for name in competitors}
        for turn in competitors.values():  # traces and compiles
            turn(arguments.seconds)
        for _ in range(arguments.rounds):
            for name, turn in competitors.items():
                settle()
                turns[name].append(turn(arguments.seconds))
        report(part, turns)
        for name, own in turns.items() if arguments.results else ():
            line = {"part": part, "candidate": name, "images_wall_processor": own}
            with arguments.results.open("a") as file:
                file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
