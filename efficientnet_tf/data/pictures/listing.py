"""Which files of a folder are pictures.

A file with a picture's extension is one, so that a broken picture is an error that names it. Of any
other file the first bytes decide, so that pictures without an extension are found, and notes,
archives and thumbnail databases are left out.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import tensorflow as tf

from efficientnet_tf.config import UserError
from efficientnet_tf.data.pictures.headers import HEADER_BYTES, picture_format

EXTENSIONS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".webp")
_READING_THREADS = 16


def list_pictures(folder: str) -> list[str]:
    """The sorted paths of the pictures below a folder.

    Hidden files are passed over, other files that are not pictures are counted on stderr.

    Raises:
      UserError: no such folder, or no picture in it.
    """
    if not tf.io.gfile.isdir(folder):
        raise UserError(f"{folder}: no such folder")
    pictures, others = find_pictures(folder)
    report_left_out(others)
    if not pictures:
        raise UserError(f"{folder} has no JPEG, PNG, GIF, BMP or WebP picture")
    return pictures


def find_pictures(folder: str) -> tuple[list[str], list[str]]:
    """The sorted paths of the pictures below a folder, and of the other visible files."""
    # gfile asks about every file by itself, which the local walk need not.
    walk = tf.io.gfile.walk if "://" in folder else os.walk
    paths = [
        os.path.join(parent, name)
        for parent, _, names in walk(folder)
        for name in names
        if not name.startswith(".")
    ]
    unknown = [path for path in paths if not path.lower().endswith(EXTENSIONS)]
    with ThreadPoolExecutor(_READING_THREADS) as pool:
        others = {
            path
            for path, picture in zip(unknown, pool.map(_is_picture, unknown), strict=True)
            if not picture
        }
    return sorted(set(paths) - others), sorted(others)


def report_left_out(paths: list[str]) -> None:
    """One line on stderr that counts the files that are not pictures and names the first."""
    if paths:
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        tf.print(f"left out, not pictures: {paths[0]}{more}")


def _is_picture(path: str) -> bool:
    with tf.io.gfile.GFile(path, "rb") if "://" in path else open(path, "rb") as file:
        return picture_format(file.read(HEADER_BYTES)) is not None
