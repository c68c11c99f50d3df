"""MNIST and what is published in its format: Fashion-MNIST, KMNIST, EMNIST.

A folder with `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and the same two of `t10k`, with
or without `.gz`. The format: two zeros, 8 for bytes, the number of dimensions, each dimension as
four bytes (big-endian), then the bytes (yann.lecun.com/exdb/mnist).

Pictures touch their edges. Each gets a black border, so that the evaluation crop, 7/8 of the side,
is the picture as it was.
"""

import gzip
import os
import struct
import zlib
from pathlib import Path

import numpy as np

from efficientnet_tf.config import DataConfig, UserError
from efficientnet_tf.data.sources.arrays import ArraySource, Split

_BYTES = 8  # the type of the values
_MAX_VALUES = 2**31  # ten times EMNIST: what a damaged file may ask for
_BORDER_SHARE = 14  # of the side, at each edge


class IDXSource(ArraySource):
    """Grey pictures, uint8 `[side, side, 3]` with their border, and classes `0`, `1`, ..."""

    name = "idx"

    def __init__(self, config: DataConfig):
        if not config.data_dir:
            raise UserError("--dataset=idx needs --data_dir: the folder of the four files")
        folder = Path(config.data_dir)
        train, evaluation = (_split(folder, prefix) for prefix in ("train", "t10k"))
        self.num_classes = int(train[1].max()) + 1
        if evaluation[1].max() >= self.num_classes:
            raise UserError(f"{folder}: class {evaluation[1].max()} has no training images")
        super().__init__(config, train, evaluation)


def _split(folder: Path, prefix: str) -> Split:
    images = _read(folder, f"{prefix}-images-idx3-ubyte", 3)
    labels = _read(folder, f"{prefix}-labels-idx1-ubyte", 1)
    if len(images) != len(labels) or not len(labels):
        raise UserError(f"{folder}: {prefix} has {len(images)} images and {len(labels)} labels")
    rows, columns = (-(-side // _BORDER_SHARE) for side in images.shape[1:])
    images = np.pad(images, ((0, 0), (rows, rows), (columns, columns)))
    return images[..., None], labels.astype(np.int32)


def _read(folder: Path, name: str, dimensions: int) -> np.ndarray:
    """The values of a file, with or without `.gz`, uint8.

    Raises:
      UserError: no such file, or not such a one.
    """
    packed, plain = folder / f"{name}.gz", folder / name
    path = packed if packed.exists() else plain
    if not path.exists():
        raise UserError(f"--data_dir={folder} has no {name} or {name}.gz")
    try:
        with gzip.open(path) if path is packed else path.open("rb") as file:
            header = file.read(4 * (1 + dimensions))
            zeros, kind, found, *shape = struct.unpack(f">HBB{dimensions}I", header)
            size = int(np.prod(shape, dtype=np.float64))
            if (zeros, kind, found) != (0, _BYTES, dimensions) or size > _MAX_VALUES:
                raise UserError(f"{path} is no IDX file of bytes in {dimensions} dimensions")
            values = file.read(size + 1)
    except (EOFError, gzip.BadGzipFile, struct.error, zlib.error) as error:
        raise UserError(f"{os.fspath(path)} is damaged: {error}") from None
    if len(values) != size:
        raise UserError(f"{path} has not the {size:,} bytes that it announces")
    return np.frombuffer(values, np.uint8).reshape(shape)
