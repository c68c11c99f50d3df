"""Unpacks the checkpoint of a downloaded `.tar.gz` or `.tgz`, which is not trusted.

Only the files of one TF1 checkpoint are written, by their last names, into a folder that appears
when it is complete. Other regular files are skipped (the archives of Lite and EdgeTPU hold TFLite
models too). Links, devices and names that point elsewhere, which no published archive has, are an
error.
"""

import contextlib
import gzip
import re
import shutil
import tarfile
import tempfile
import zlib
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from efficientnet_tf.config import UserError

# V1 calls its checkpoints `model.ckpt`, V2 `model`. The graph definition, `.meta`, is not needed.
_MEMBER = re.compile(r"checkpoint|(model|[\w.-]*ckpt)[\w.-]*\.(index|data-\d{5}-of-\d{5})")
_MAX_MEMBERS = 1000
_CHUNK = 1 << 20


class _Capped:
    """A stream that refuses to yield more than `limit` bytes, whatever its headers promise."""

    def __init__(self, stream: BinaryIO, limit: int):
        self._stream, self._left = stream, limit

    def read(self, size: int) -> bytes:
        data = self._stream.read(min(size, self._left + 1))
        self._left -= len(data)
        if self._left < 0:
            raise UserError("it unpacks to more than a checkpoint of this model can hold")
        return data


def _checked_name(member: tarfile.TarInfo) -> str | None:
    """The file name for a member, None to skip it; a `UserError` for one that is not safe."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        raise UserError(f"member {member.name!r} points outside of the archive")
    if member.isdir():
        return None
    if not member.isreg():
        raise UserError(f"member {member.name!r} is a link or a device")
    return path.name if len(path.parts) <= 2 and _MEMBER.fullmatch(path.name) else None


def _write_members(stream: BinaryIO, folder: Path) -> None:
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for count, member in enumerate(archive, start=1):
            if count > _MAX_MEMBERS:
                raise UserError(f"it has more than {_MAX_MEMBERS} members")
            name = _checked_name(member)
            if name:
                # Created here, never through `extract`: no owner, mode or link is taken over.
                with (folder / name).open("xb") as target:
                    shutil.copyfileobj(archive.extractfile(member), target, _CHUNK)


def _check_complete(folder: Path) -> None:
    indices = list(folder.glob("*.index"))
    if len(indices) != 1 or not list(folder.glob(f"{indices[0].stem}.data-*")):
        raise UserError("it does not hold one checkpoint (one .index and its .data-… files)")


def extract_checkpoint(archive: Path, folder: Path, max_bytes: int) -> None:
    """Unpacks the checkpoint in `archive` (a gzipped tar file) to the new directory `folder`.

    Args:
      max_bytes: the most that the archive may unpack to.

    Raises:
      UserError: truncated or damaged, too large, without a checkpoint, or holding links, devices,
        absolute names or `..`; nothing is left behind.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
        complete = Path(scratch, "checkpoint")
        complete.mkdir()
        try:
            with gzip.open(archive) as file:
                stream = _Capped(file, max_bytes)
                _write_members(stream, complete)
                # The checksum stands behind what the end of a tar file leaves unread.
                while stream.read(_CHUNK):
                    pass
            _check_complete(complete)
        except UserError as error:
            raise UserError(f"{archive}: refused: {error}") from None
        except (EOFError, OSError, tarfile.TarError, zlib.error) as error:
            raise UserError(f"{archive}: truncated or damaged ({error})") from None
        # Where another process was faster its folder stands in the way, and is as good.
        with contextlib.suppress(OSError) if folder.is_dir() else contextlib.nullcontext():
            complete.replace(folder)
