"""Data sources, decoding, augmentation, and the input pipeline that joins them."""

# Before anything of this room: loading Keras imports the modules in `serializable.CLASSES`, and one
# that is half imported at that moment would lack its names.
import keras  # noqa: F401

from efficientnet_tf.data.augment.autoaugment import AutoAugment
from efficientnet_tf.data.augment.gallery import gallery
from efficientnet_tf.data.augment.layer import Augmentation
from efficientnet_tf.data.augment.randaugment import RandAugment
from efficientnet_tf.data.failures import explain
from efficientnet_tf.data.pictures.listing import list_pictures
from efficientnet_tf.data.pictures.picture_file import read_picture
from efficientnet_tf.data.pipeline import eval_dataset, train_dataset
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
    "eval_dataset",
    "explain",
    "gallery",
    "list_pictures",
    "open_source",
    "read_picture",
    "train_dataset",
]
