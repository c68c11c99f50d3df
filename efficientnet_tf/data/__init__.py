"""The data room: sources, decoding, augmentation, and the pipeline that joins them."""

from efficientnet_tf.data.pipeline import eval_dataset, train_dataset
from efficientnet_tf.data.sources import open_source

__all__ = ["eval_dataset", "open_source", "train_dataset"]
