"""Downloads published archives into the Keras cache, where only complete checkpoints appear."""

import contextlib
import hashlib
import os
import re
import sys
import tempfile
import time
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO

import keras

from efficientnet_tf.arch import cost
from efficientnet_tf.arch.variants import model_config
from efficientnet_tf.config import UserError
from efficientnet_tf.weights.formats.tf1_checkpoint import checkpoint_prefix
from efficientnet_tf.weights.published.archive import extract_checkpoint
from efficientnet_tf.weights.published.table import BASE_URL, Preset

_ATTEMPTS = 4
_TIMEOUT = 30  # seconds without a byte
_CHUNK = 1 << 20
# Raw weights, averages, two optimizer slots, and the graph definition beside them.
_COPIES, _OVERHEAD = 4, 64 << 20


def cache_directory() -> Path:
    """Where Keras keeps downloaded models: `$KERAS_HOME/models`, `~/.keras/models` by default."""
    home = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    return Path(home) / "models" / "efficientnet_tf"


def max_archive_bytes(model_name: str, num_classes: int | None = None) -> int:
    """The most bytes that a checkpoint of this variant can have.

    Args:
      num_classes: width of its classifier; the variant's own by default.
    """
    changes = {"num_classes": num_classes} if num_classes else {}
    parameters = cost.total(model_config(model_name, **changes))
    return _COPIES * 4 * (parameters.trainable + parameters.non_trainable) + _OVERHEAD


def fetch(preset: Preset, cache_dir: str | None = None, base_url: str = BASE_URL) -> str:
    """The prefix of a published checkpoint on this machine, downloaded on the first call.

    Args:
      preset: from `published.resolve`.
      cache_dir: where to keep it; `cache_directory()` by default.
      base_url: of the directory that holds the archives.

    Raises:
      UserError: no connection (the error says which file to put where), an unsafe archive, or
        another archive than the one that was fetched here before.
    """
    folder = Path(cache_dir or cache_directory(), *preset.archive.split("/"))
    if folder.is_dir():
        return checkpoint_prefix(str(folder))
    archive = folder.with_name(preset.file.rpartition("/")[2])
    limit = max_archive_bytes(preset.model_name, preset.num_classes)
    placed = archive.exists()  # by hand, on a machine without network
    if not placed:
        download(f"{base_url}/{preset.file}", archive, limit)
    try:
        digest = check_sha256(archive, preset.sha256)
        extract_checkpoint(archive, folder, limit)
        _record(archive).write_text(digest + "\n")
    finally:
        if not placed:
            archive.unlink()
    return checkpoint_prefix(str(folder))


def _record(archive: Path) -> Path:
    return archive.with_name(f"{archive.name}.sha256")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def check_sha256(archive: Path, expected: str | None) -> str:
    """The SHA-256 of a file, compared with `expected`, else with the one of its first use.

    The sums of the archives were never published. The one of the first download is recorded
    beside the archive, and another one later is an error.

    Raises:
      UserError: another sum.
    """
    digest = _sha256(archive)
    record = _record(archive)
    first = record.read_text().strip() if record.exists() else None
    wanted = expected or first or digest
    if digest != wanted:
        since = "published" if expected else f"recorded in {record} when it was first used"
        raise UserError(f"{archive}: SHA-256 is {digest}, not {wanted} as {since}")
    return digest


def download(url: str, target: Path, max_bytes: int) -> None:
    """Fetches `url` to `target`, which appears when it is complete.

    A broken connection is resumed where it ended, with four connections at most.

    Raises:
      UserError: no such file, too large, or no connection; with what to do by hand.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
    try:
        with open(descriptor, "wb") as file:
            _download_with_retries(url, file, target, max_bytes)
        os.replace(name, target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


def _download_with_retries(url: str, file: BinaryIO, target: Path, max_bytes: int) -> None:
    transfer, reason = _Transfer(url, file, max_bytes), None
    for attempt in range(_ATTEMPTS):
        try:
            return transfer.resume()
        except urllib.error.HTTPError as error:
            if error.code < 500:
                raise UserError(f"{url}: {error.code} {error.reason}") from None
            reason = error
        except (OSError, HTTPException) as error:
            reason = error
        if attempt + 1 < _ATTEMPTS:
            time.sleep(0.1 * 4**attempt)
    raise UserError(
        f"cannot download {url} ({getattr(reason, 'reason', reason)}); fetch it on another machine "
        f"and put it at {target}"
    )


def _megabytes(count: int) -> int:
    return -(-count // 10**6)


class _Transfer:
    """One download over one connection or several."""

    def __init__(self, url: str, file: BinaryIO, max_bytes: int):
        self.url, self.file, self.max_bytes = url, file, max_bytes
        self.etag: str | None = None
        self.progress: keras.utils.Progbar | None = None

    def resume(self) -> None:
        """Fetches what is missing; raises OSError where the connection ends early."""
        headers = {}
        if self.file.tell() and self.etag:
            # Should the file have changed in between, If-Range makes the server send all of it.
            headers = {"Range": f"bytes={self.file.tell()}-", "If-Range": self.etag}
        request = urllib.request.Request(self.url, headers=headers)
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
            if response.status != 206:
                self.file.seek(0)
                self.file.truncate()
            self.etag = response.headers.get("ETag")
            length = response.headers.get("Content-Length")
            if length and not re.fullmatch("[0-9]{1,18}", length):
                raise OSError(f"its Content-Length is {length[:40]!r}")
            total = self.file.tell() + int(length) if length else None
            self._copy(response, total)

    def _copy(self, response: BinaryIO, total: int | None) -> None:
        if total and total > self.max_bytes:
            raise UserError(f"{self.url}: {total} bytes are too many for a checkpoint")
        # In a log one line at the end is enough.
        verbose = 1 if sys.stdout.isatty() else 2
        self.progress = self.progress or keras.utils.Progbar(
            total and _megabytes(total), verbose=verbose, unit_name="MB"
        )
        while chunk := response.read(_CHUNK):
            self.file.write(chunk)
            if self.file.tell() > self.max_bytes:
                raise UserError(f"{self.url}: more bytes than a checkpoint can have")
            self.progress.update(_megabytes(self.file.tell()))
        if total and self.file.tell() < total:
            raise OSError(f"connection closed after {self.file.tell()} of {total} bytes")
