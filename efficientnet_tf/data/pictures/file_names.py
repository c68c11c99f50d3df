"""Which paths can be read as picture files at all, told before they are opened."""

import os
import stat

import tensorflow as tf

# 89 megapixels of four channels of 16 bits are less, and TensorFlow reads all of a file at once.
_MAX_BYTES = 1 << 30


def list_names(folder: str) -> list[str]:
    """What lies in a folder, here or in a bucket; `gfile` fails where one name is not UTF-8."""
    if "://" in folder:
        return [name.rstrip("/") for name in tf.io.gfile.listdir(folder)]
    return os.listdir(folder)


def is_text(path: str) -> bool:
    """Whether a path is UTF-8: TensorFlow takes no other.

    Python puts surrogates in the place of a name's other bytes.
    """
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def shown(path: str) -> str:
    """The path as it can be printed anywhere: bytes that are not UTF-8 as `\\xff`."""
    return os.fsencode(path).decode(errors="backslashreplace")


def refusal(path: str) -> str:
    """Why a picture file is not to be opened, the end of a sentence; empty if it is."""
    if not is_text(path):
        return "has a name that is not UTF-8; rename it"
    if is_special(path):
        return "is a pipe, a socket or a device, not a picture file"
    if "://" not in path and os.path.exists(path) and os.path.getsize(path) > _MAX_BYTES:
        return "is larger than a gigabyte"
    return ""


def is_special(path: str) -> bool:
    """Whether a local path is a pipe, a socket or a device: reading it could wait for ever."""
    if "://" in path:
        return False
    try:
        mode = os.stat(path).st_mode
    except OSError:  # reading it will say what is the matter
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
