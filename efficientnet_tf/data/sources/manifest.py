"""What a folder of TFRecord shards holds: written by `data.prepare`, checked when it is opened."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import tensorflow as tf

from efficientnet_tf.config import UserError
from efficientnet_tf.data.sources.shards import of_each

MANIFEST = "manifest.json"
UNFINISHED = "manifest.unfinished.json"
_CHUNK_BYTES = 8 << 20


@dataclass(frozen=True)
class Shard:
    """One file.

    Attributes:
      file: its name.
      num_images: records in it.
      num_bytes: its length.
      sha256: of its content, in hexadecimal.
    """

    file: str
    num_images: int
    num_bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """A folder of shards.

    Attributes:
      classes: names; the first one's label in the records is 1.
      made_from: what the shards were made from, as far as it decides what is in which of them.
      splits: the shards of `train` and `validation`, in their order.
    """

    classes: list[str]
    made_from: Mapping[str, object]
    splits: Mapping[str, list[Shard]] = dataclasses.field(default_factory=dict)

    def num_images(self, split: str) -> int:
        """Of a split, 0 where there is none."""
        return sum(shard.num_images for shard in self.splits.get(split, []))

    def shard_sizes(self, folder: str) -> dict[str, int]:
        """How many records each file holds, by its path."""
        return {
            os.path.join(folder, shard.file): shard.num_images
            for shards in self.splits.values()
            for shard in shards
        }

    def save(self, folder: str, name: str) -> None:
        """Writes `<folder>/<name>` in one go: under another name first, then renamed."""
        path = os.path.join(folder, name)
        with tf.io.gfile.GFile(f"{path}.tmp", "w") as file:
            json.dump(dataclasses.asdict(self), file, indent=1)
        tf.io.gfile.rename(f"{path}.tmp", path, overwrite=True)

    def check_lengths(self, folder: str) -> None:
        """Refuses a shard that is missing or is not as long as it was when it was written."""
        written = {os.path.join(folder, shard.file): shard for shard in _all_shards(self)}
        for path, found in of_each(list(written), _length).items():
            if found is None:
                raise UserError(f"{path} is missing: {MANIFEST} names it")
            if found != written[path].num_bytes:
                raise UserError(
                    f"{path} has {found:,} bytes, {written[path].num_bytes:,} by {MANIFEST}: copy "
                    "it again, or prepare the data again in a new folder"
                )

    def check_content(self, folder: str, progress: Callable[[int], None]) -> None:
        """Reads every shard and refuses one whose content has changed.

        Args:
          progress: is told how many images are done.
        """
        done = 0
        for shard in _all_shards(self):
            path = os.path.join(folder, shard.file)
            if sha256(path) != shard.sha256:
                raise UserError(
                    f"{path} is not what was written: its checksum is not that of {MANIFEST}; copy "
                    "it again, or prepare the data again in a new folder"
                )
            done += shard.num_images
            progress(done)


def read_manifest(folder: str, name: str = MANIFEST) -> Manifest | None:
    """The manifest of a folder; None where there is none.

    Raises:
      UserError: it cannot be read.
    """
    path = os.path.join(folder, name)
    if not tf.io.gfile.exists(path):
        return None
    with tf.io.gfile.GFile(path) as file:
        text = file.read()
    try:
        fields = json.loads(text)
        splits = {
            split: [Shard(**shard) for shard in shards]
            for split, shards in fields["splits"].items()
        }
        return Manifest(fields["classes"], fields["made_from"], splits)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{path} is damaged; copy it again, or remove it") from None


def sha256(path: str) -> str:
    """The checksum of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with tf.io.gfile.GFile(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _length(path: str) -> int | None:
    """Of a file in bytes, None where there is none."""
    try:
        return tf.io.gfile.stat(path).length
    except tf.errors.NotFoundError:
        return None


def _all_shards(manifest: Manifest) -> list[Shard]:
    return [shard for shards in manifest.splits.values() for shard in shards]
