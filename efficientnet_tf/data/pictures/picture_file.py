"""Reads one picture file and crops it as in evaluation."""

import numpy as np
import tensorflow as tf

from efficientnet_tf.config import UserError
from efficientnet_tf.data.pictures import preprocess
from efficientnet_tf.data.pictures.attempt import picture_problem
from efficientnet_tf.data.pictures.decode import decode_and_crop
from efficientnet_tf.data.pictures.file_names import refusal, shown


def read_picture(path: str, size: int, resize_method: str) -> np.ndarray:
    """The centre crop of a JPEG, PNG, GIF, BMP or WebP file.

    Args:
      path: the file, local or in a bucket.
      size: side of the network's input in pixels.
      resize_method: `bicubic` or `bilinear`.

    Returns:
      float32 [size, size, 3], RGB in 0..255.

    Raises:
      UserError: no such file, or a picture that is broken or too large; names file and reason.
    """
    if reason := refusal(path):
        raise UserError(f"{shown(path)} {reason}")
    try:
        encoded = tf.io.read_file(path)
    except tf.errors.OpError as error:
        missing = isinstance(error, tf.errors.NotFoundError)
        raise UserError(f"{path}: {'no such file' if missing else 'cannot be read'}") from None
    try:
        box = decode_and_crop(encoded, lambda shape: preprocess.center_box(shape, size))
    except tf.errors.OpError:
        raise UserError(f"{path} {picture_problem(encoded).numpy().decode()}") from None
    return preprocess.resize(box, size, resize_method).numpy()
