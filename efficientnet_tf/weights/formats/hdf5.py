"""The arrays of an HDF5 file: what it announces, at once, and what it holds, when it is wanted.

A dataset can lie in other files, as a link, as external storage or as a view of theirs. No file of
weights needs that, and a foreign one could fetch what its reader may read and it may not.
"""

from pathlib import Path
from typing import BinaryIO

import h5py
import numpy as np

from efficientnet_tf.config import UserError
from efficientnet_tf.weights.description import KEY

_SMALL = 16  # numbers; the statistics of a normalization layer, which are read with the outline
_MAX_TEXT = 16 << 20  # bytes


def outline(path: Path, file: BinaryIO | None = None) -> tuple[dict[str, np.ndarray], bytes | None]:
    """Arrays by path in their shapes and dtypes, and the text under `description.KEY`, if any.

    The arrays of up to 16 numbers are the file's. Larger ones are zero and take no memory.

    Args:
      file: what to read, where `path` is an archive that it lies in.

    Raises:
      UserError: not HDF5; text where an array should be; a dataset that lies in another file.
    """
    arrays, text = {}, []

    def keep(name, item):
        if name == KEY:
            text.append(_text(path, item))
            return
        _check(path, name, item)
        is_small = item.size <= _SMALL
        arrays[name] = item[()] if is_small else np.broadcast_to(item.dtype.type(0), item.shape)

    _visit(path, keep, file)
    return arrays, text[0] if text else None


def read(path: Path, under: str = "") -> dict[str, np.ndarray]:
    """Every array in the file, or in a group of it, by its path; raises as `outline` does."""
    arrays = {}

    def keep(name, item):
        if name != KEY and name.startswith(under):
            _check(path, name, item)
            arrays[name] = item[()]

    _visit(path, keep)
    return arrays


def _visit(path: Path, keep, file: BinaryIO | None = None) -> None:
    """Calls `keep` with the name of every dataset, and itself."""

    def look(name, item):
        if isinstance(item, h5py.Dataset):
            keep(name, item)

    def note_link(name, link):
        if isinstance(link, h5py.ExternalLink):
            links.append(name)

    links: list[str] = []
    try:
        with h5py.File(file or path, "r") as opened:
            opened.visititems_links(note_link)
            if not links:
                opened.visititems(look)
    except UserError:
        raise
    except Exception as error:  # h5py has no class of its own, and damage many forms
        reason = (str(error).strip() or type(error).__name__).split("\n")[0]
        raise UserError(f"{path}: not a readable HDF5 file ({reason})") from None
    if links:
        raise UserError(f"{path}: {links[0]} lies in another file; weights lie in one file")


def _check(path: Path, name: str, item: h5py.Dataset) -> None:
    if item.external or item.is_virtual:
        raise UserError(f"{path}: {name} lies in another file; weights lie in one file")
    if item.shape is None or item.dtype.kind not in "fiub":
        raise UserError(f"{path}: {name} holds no numbers")


def _text(path: Path, item: h5py.Dataset) -> bytes:
    if (
        item.external
        or item.is_virtual
        or item.shape != ()
        or not h5py.check_string_dtype(item.dtype)
    ):
        raise UserError(f"{path}: {KEY} is damaged: not a text")
    text = item[()]
    if len(text) > _MAX_TEXT:
        raise UserError(f"{path}: its {KEY} is larger than any description")
    return text
