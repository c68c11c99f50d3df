"""Which files of a folder are pictures.

A file with a picture's extension is one, so that a broken picture is an error that names it. Of any
other file the first bytes decide, so that pictures without an extension are found, and notes,
archives and thumbnail databases are left out.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import tensorflow as tf

from efficientnet_tf.config import UserError
from efficientnet_tf.data.pictures.file_names import is_special, is_text, shown
from efficientnet_tf.data.pictures.headers import HEADER_BYTES, picture_format

EXTENSIONS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".bmp", ".webp")
_READING_THREADS = 16


def list_pictures(folder: str) -> list[str]:
    """The sorted paths of the pictures below a folder.

    Hidden files are passed over, others that are left out are counted on stderr.

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
    """The sorted paths of the pictures below a folder, and of the other visible files.

    Pipes, sockets, devices and files whose name is not UTF-8 are among the others.
    """
    others, paths = set(), []
    for path, is_readable in _files_in_bucket(folder) if "://" in folder else _files(folder):
        if not os.path.basename(path).startswith("."):
            paths.append(path) if is_readable and is_text(path) else others.add(path)
    unknown = [path for path in paths if not path.lower().endswith(EXTENSIONS)]
    with ThreadPoolExecutor(_READING_THREADS) as pool:
        pictures = pool.map(_is_picture, unknown)
        others |= {path for path, is_one in zip(unknown, pictures, strict=True) if not is_one}
    return sorted(set(paths) - others), sorted(others)


def _files_in_bucket(folder: str) -> Iterator[tuple[str, bool]]:
    for parent, _, names in tf.io.gfile.walk(folder):
        yield from ((os.path.join(parent, name), True) for name in names)


def _files(folder: str) -> Iterator[tuple[str, bool]]:
    """The files below a local folder, and whether each can be read; one that is gone counts so.

    `gfile` asks about every file by itself, which the listing of a local folder need not.
    """
    try:
        entries = list(os.scandir(folder))
    except OSError:  # as `os.walk`
        return
    for entry in entries:
        if not entry.is_dir():
            yield entry.path, entry.is_file() or not is_special(entry.path)
        elif not entry.is_symlink():
            yield from _files(entry.path)


def report_left_out(paths: list[str]) -> None:
    """A line on stderr for each reason, that counts the files and names the first."""
    misnamed = [path for path in paths if not is_text(path)]
    groups = {
        "not pictures": sorted(set(paths) - set(misnamed)),
        "names that are not UTF-8 (rename them)": misnamed,
    }
    for reason, group in groups.items():
        if group:
            more = f" and {len(group) - 1} more" if len(group) > 1 else ""
            tf.print(f"left out, {reason}: {shown(group[0])}{more}")


def _is_picture(path: str) -> bool:
    with tf.io.gfile.GFile(path, "rb") if "://" in path else open(path, "rb") as file:
        return picture_format(file.read(HEADER_BYTES)) is not None
