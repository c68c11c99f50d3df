"""A line about work that takes long, and none about work that does not."""

import contextlib
import sys
import threading
from collections.abc import Iterator

SILENT_SECONDS = 10


@contextlib.contextmanager
def announced(line: str) -> Iterator[None]:
    """Prints a line if the block takes longer than `SILENT_SECONDS`."""
    notice = threading.Timer(SILENT_SECONDS, print, [line], {"file": sys.stdout, "flush": True})
    notice.start()
    try:
        yield
    finally:
        notice.cancel()
