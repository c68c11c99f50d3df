"""Data sources, decoding, augmentation, and the input pipeline that joins them."""

import keras  # noqa: F401  Loading Keras registers this room's classes: not amid their imports.

from efficientnet_tf.data.augment.autoaugment import AutoAugment
from efficientnet_tf.data.augment.compiled import xla_works
from efficientnet_tf.data.augment.gallery import gallery
from efficientnet_tf.data.augment.layer import Augmentation
from efficientnet_tf.data.augment.randaugment import RandAugment
from efficientnet_tf.data.failures import explain
from efficientnet_tf.data.pictures.census import take_census
from efficientnet_tf.data.pictures.file_names import is_text, shown
from efficientnet_tf.data.pictures.listing import list_pictures
from efficientnet_tf.data.pictures.picture_file import read_picture
from efficientnet_tf.data.pipeline import calibration_dataset, eval_dataset, train_dataset
from efficientnet_tf.data.sources import open_source
from efficientnet_tf.data.sources.dataset import DatasetSource
from efficientnet_tf.data.sources.source import (
    ORDER_VERSION,
    BatchSource,
    IndexedSource,
    Picture,
    Source,
    StreamSource,
)
from efficientnet_tf.data.step_images import images_of_step

__all__ = [
    "Augmentation",
    "AutoAugment",
    "BatchSource",
    "DatasetSource",
    "IndexedSource",
    "ORDER_VERSION",
    "Picture",
    "RandAugment",
    "Source",
    "StreamSource",
    "calibration_dataset",
    "eval_dataset",
    "explain",
    "gallery",
    "images_of_step",
    "is_text",
    "list_pictures",
    "open_source",
    "read_picture",
    "shown",
    "take_census",
    "train_dataset",
    "xla_works",
]
