"""Errors of files that cannot be written: the disk is full, the folder read-only or gone."""

import contextlib
import os
import re
from collections.abc import Iterator

import tensorflow as tf

from efficientnet_tf.config import UserError

# TensorFlow's own of InvalidArgument are mistakes of a program, not of a disk.
WRITE_ERRORS = (
    OSError,
    tf.errors.AbortedError,
    tf.errors.DataLossError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
    tf.errors.NotFoundError,
    tf.errors.OutOfRangeError,
    tf.errors.PermissionDeniedError,
    tf.errors.ResourceExhaustedError,
    tf.errors.UnavailableError,
    tf.errors.UnknownError,
)


@contextlib.contextmanager
def writing(what: str, remedy: str) -> Iterator[None]:
    """Turns an error of writing inside the block into one line.

    Args:
      what: is being written, the line's subject.
      remedy: what the reader can do, or need not fear.

    Raises:
      UserError: `what` cannot be written, why, and `remedy`.
    """
    try:
        yield
    except WRITE_ERRORS as error:
        raise UserError(f"{what} cannot be written: {write_reason(error)}; {remedy}") from None


def write_whole(path: str, text: str) -> None:
    """Writes a small file in one go: to the disk under another name first, then renamed."""
    draft = f"{path}.tmp"
    with tf.io.gfile.GFile(draft, "w") as file:
        file.write(text)
    if os.path.exists(draft):  # no bucket
        with open(draft, "rb") as file:
            os.fsync(file.fileno())
    tf.io.gfile.rename(draft, path, overwrite=True)


def write_reason(error: Exception) -> str:
    """The system's words for it, `No space left on device`."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    first = (str(getattr(error, "message", error)).strip() or type(error).__name__).splitlines()[0]
    # TensorFlow puts the op before and the path in front.
    return re.sub(r"^\{\{.*?\}\} | \[Op:\w+\].*$", "", first).rpartition("; ")[2]
