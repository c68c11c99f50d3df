"""The pictures of an export: to calibrate with, and to compare formats on."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from efficientnet_tf import data
from efficientnet_tf.config import DataConfig, RunConfig, UserError
from efficientnet_tf.data import Source
from efficientnet_tf.run.session import explained

# More take long in formats without fast kernels; --num_eval_images says otherwise.
MOST_COMPARED = 500
_BATCH = 16


def compared_pictures(
    source: Source, config: RunConfig
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Pictures of the evaluation split with their classes, spread over the split.

    Returns:
      float32 [N, S, S, 3] in 0..255 and int32 [N]; no labels where a picture may have several, and
      neither where there is no evaluation split.
    """
    count = source.num_eval_images
    if not count:
        return None, None
    if count > MOST_COMPARED and not config.data.num_eval_images:
        count = MOST_COMPARED
        fewer = dataclasses.replace(config.data, num_eval_images=count)
        if source.name == config.data.source_name:  # else it is somebody's own
            source = data.open_source(fewer)
    images, labels = [], []
    with explained(source):
        for batch in data.eval_dataset(source, config.data, _BATCH).take(-(-count // _BATCH)):
            images.append(batch["image"].numpy())
            labels.append(batch["label"].numpy())
    known = None if source.is_multi_label else np.concatenate(labels)[:count]
    return np.concatenate(images)[:count], known


def calibration_pictures(config: RunConfig, source: Source | None) -> np.ndarray | None:
    """float32 [N, S, S, 3] in 0..255; None where only the pictures to compare on are left.

    Raises:
      UserError: `calibration_data` has no pictures, or one that is broken.
    """
    count = config.export.num_calibration_images
    if folder := config.export.calibration_data:
        return np.stack(list(_files(folder, count, config.data)))
    if source is None or not source.num_train_images:
        return None
    count = min(count, source.num_train_images)
    batches = data.calibration_dataset(source, config.data, 1).take(count)
    with explained(source, lambda: 0):
        return np.concatenate(list(batches.as_numpy_iterator()))


def _files(folder: str, count: int, config: DataConfig) -> Iterator[np.ndarray]:
    """Pictures below a folder, spread over the sorted paths."""
    try:
        paths = data.list_pictures(folder)
    except UserError as error:
        raise UserError(f"--calibration_data: {error}") from None
    for number in range(min(count, len(paths))):
        path = paths[number * len(paths) // min(count, len(paths))]
        assert config.image_size and config.resize_method  # `resolve` has filled them in
        yield data.read_picture(path, config.image_size, config.resize_method)
