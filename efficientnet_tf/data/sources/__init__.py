"""The table of data sources. A new source is one file here and one row.

A name that is not in the table is looked up in tensorflow_datasets.
"""

import importlib

from efficientnet_tf.config import MIN_IMAGE_SIZE, DataConfig, UserError
from efficientnet_tf.data.pictures import preprocess
from efficientnet_tf.data.sources.source import BatchSource, Picture, Source, StreamSource

__all__ = ["BatchSource", "Picture", "Source", "StreamSource", "open_source"]

# Imported when used, because scikit-learn and tensorflow_datasets take seconds.
_TFDS = ("tfds", "TFDSSource")
_SOURCES = {
    "tfrecord": ("tfrecord", "TFRecordSource"),
    "folder": ("folder", "FolderSource"),
    "csv": ("csv_file", "CSVSource"),
    "digits": ("digits", "DigitsSource"),
    "idx": ("idx", "IDXSource"),
    "synthetic": ("synthetic", "SyntheticSource"),
}


def open_source(config: DataConfig) -> Source:
    """The source that `config.source_name` names.

    Raises:
      UserError: no such data set, nothing usable under `data_dir`, or a setting out of range.
    """
    _check(config)
    module, source_class = _SOURCES.get(config.source_name, _TFDS)
    module = importlib.import_module(f"{__name__}.{module}")
    source = getattr(module, source_class)(config)
    if config.num_classes is not None:
        source.background(config.num_classes)  # raises unless the numbers fit
    return source


def _check(config: DataConfig) -> None:
    if config.image_size is not None and config.image_size < MIN_IMAGE_SIZE:
        raise UserError(f"--input_image_size={config.image_size} is less than {MIN_IMAGE_SIZE}")
    if config.resize_method not in (None, *preprocess.RESIZE_METHODS):
        raise UserError(f"--resize_method={config.resize_method}: bicubic or bilinear")
    if not 0 < config.min_crop_area <= 1:
        raise UserError(f"--min_crop_area={config.min_crop_area} is not in (0, 1]")
    if config.augment_name not in (None, "", "autoaugment", "randaugment"):
        raise UserError(f"--augment_name={config.augment_name}: autoaugment or randaugment")
    if config.tf_data_service and config.max_bad_examples:
        raise UserError("--max_bad_examples counts in one process, not with --tf_data_service")
