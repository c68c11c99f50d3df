"""`--mode=summary`."""

import dataclasses

import numpy as np
import tensorflow as tf

from efficientnet_tf import data
from efficientnet_tf.arch import summary as tables
from efficientnet_tf.config import RunConfig
from efficientnet_tf.run.picture import captioned_grid
from efficientnet_tf.run.resolve import resolve
from efficientnet_tf.run.session import explained
from efficientnet_tf.run.starting_point import default_model_dir

_IMAGES_SHOWN = 8


def summary(config: RunConfig) -> None:
    """The network's stages and the family it belongs to; with a data set named, a picture too."""
    has_data = config.data.dataset or config.data.data_dir
    source = data.open_source(config.data) if has_data else None
    network, resolved = resolve(config, source=source)
    side = resolved.data.image_size
    print(f"{network.name}, {side} x {side} pixels\n")
    print(tables.stage_table(network, (side, side, 3)))
    print(f"\n{tables.family_table()}")
    if source:
        folder = config.train.model_dir or default_model_dir(config)
        print(f"\naugmentation: {_draw_augmentation(source, resolved.data, folder)}")


def _draw_augmentation(source: data.Source, config, folder: str) -> str:
    """Some training images as they are and under each policy, as a PNG; its path."""
    plain = dataclasses.replace(
        config, augment_name=None, mixup_alpha=0.0, cutmix_alpha=0.0, random_erasing=0.0
    )
    with explained(source, lambda: 0):
        batch = next(data.train_dataset(source, plain, _IMAGES_SHOWN).as_numpy_iterator())
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
