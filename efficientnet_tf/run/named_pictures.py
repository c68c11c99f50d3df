"""The pictures that follow the flags: files, folders and patterns."""

import glob
from collections.abc import Sequence

import tensorflow as tf

from efficientnet_tf import data
from efficientnet_tf.config import UserError


def named_pictures(arguments: Sequence[str]) -> list[str]:
    """The files that were named, the pictures in folders, and what patterns like `*.jpg` fit.

    Raises:
      UserError: a folder without pictures, or a pattern that nothing fits.
    """
    paths = []
    for argument in arguments:
        if not data.is_text(argument):
            paths.append(argument)
        elif tf.io.gfile.isdir(argument):
            paths += data.list_pictures(argument)
        elif glob.has_magic(argument) and not tf.io.gfile.exists(argument):
            paths += _matching(argument)
        else:
            paths.append(argument)
    return paths


def _matching(pattern):
    if found := sorted(tf.io.gfile.glob(pattern)):
        return found
    raise UserError(f"{pattern}: no file has such a name")
