"""`--mode=summary`."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from efficientnet_tf import data
from efficientnet_tf.arch import summary as tables
from efficientnet_tf.config import RunConfig
from efficientnet_tf.run.data_report import report, write_csv
from efficientnet_tf.run.picture import captioned_grid
from efficientnet_tf.run.resolve import resolve
from efficientnet_tf.run.session import explained
from efficientnet_tf.run.starting_point import default_model_dir
from efficientnet_tf.train.progress import Progress

_IMAGES_SHOWN = 8


def summary(config: RunConfig) -> None:
    """The network's stages; then the family it belongs to, or the data set that is named."""
    has_data = config.data.dataset or config.data.data_dir
    source = data.open_source(config.data) if has_data else None
    network, resolved = resolve(config, source=source)
    side = resolved.data.image_size
    print(f"{network.name}, {side} x {side} pixels\n")
    print(tables.stage_table(network, (side, side, 3)))
    if source is None:
        print(f"\n{tables.family_table()}")
        return
    folder = config.train.model_dir or default_model_dir(config)
    print(f"\n{_count(source)}")
    if source.splits:
        print(f"\n{_report(source.splits, side, folder)}")
    if source.num_train_images:
        print(f"augmentation: {_draw_augmentation(source, resolved.data, folder)}")


def _count(source: data.Source) -> str:
    return (
        f"{source.name}: {source.num_train_images or 'no known'} training images, "
        f"{source.num_eval_images or 'no known'} to evaluate"
    )


def _report(splits: Mapping, image_size: int, folder: str) -> str:
    """What the pictures are like, in lines; all of them go to a CSV file."""
    count = sum(len(paths) for classes in splits.values() for paths in classes.values())
    progress = Progress("reading every picture", count, unit="image")
    progress.update(0)  # says at once what is going on
    entries = data.take_census(splits, progress.update)
    progress.close()
    path = f"{folder}/pictures.csv"
    tf.io.gfile.makedirs(folder)
    write_csv(entries, path)
    return f"{report(entries, image_size)}\ndetails: {path}"


def _draw_augmentation(source: data.Source, config, folder: str) -> str:
    """Some training images as they are and under each policy, as a PNG; its path."""
    plain = dataclasses.replace(
        config,
        augment_name=None,
        mixup_alpha=0.0,
        cutmix_alpha=0.0,
        random_erasing=0.0,
        max_bad_examples=_IMAGES_SHOWN,  # passed over: the report names them
    )
    with explained(source, lambda: 0):
        batch = next(
            data.train_dataset(source, plain, _IMAGES_SHOWN, report=False).as_numpy_iterator()
        )
    policies = {
        "AutoAugment": data.AutoAugment(),
        "RandAugment": data.RandAugment(config.randaug_num_layers, config.randaug_magnitude),
    }
    images = np.clip(batch["image"], 0, 255).astype(np.uint8)
    picture = captioned_grid(*data.gallery(images, policies), columns=_IMAGES_SHOWN)
    path = f"{folder}/augmentation.png"
    tf.io.gfile.makedirs(folder)
    tf.io.write_file(path, tf.io.encode_png(picture))
    return path
