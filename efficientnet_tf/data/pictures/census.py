"""Every picture of a data set: its size and format, whether it can be decoded, and its copies."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import tensorflow as tf

from efficientnet_tf.data.pictures.attempt import attempt, picture_problem
from efficientnet_tf.data.pictures.copies import find_copies
from efficientnet_tf.data.pictures.decode import decoded_size
from efficientnet_tf.data.pictures.headers import HEADER_BYTES, picture_format


class Entry(NamedTuple):
    """What is known of one picture.

    Attributes:
      split: the name of the split that it is in.
      label: the name of its class.
      file: its path.
      format: `JPEG`, `PNG`, `GIF`, `BMP`, `WebP`, or empty.
      width, height: in pixels; 0 of a picture that cannot be decoded.
      problem: why it cannot be decoded, the end of a sentence; empty if it can.
      copy_of: the first file with the same content, empty for that one itself.
    """

    split: str
    label: str
    file: str
    format: str
    width: int
    height: int
    problem: str
    copy_of: str


def take_census(
    splits: Mapping[str, Mapping[str, Sequence[str]]],
    progress: Callable[[int], None] = lambda count: None,
) -> list[Entry]:
    """Reads and decodes every picture of a folder.

    Ten thousand photos of 500 x 375 pixels take 40 seconds of one core, of 12 megapixels 5 minutes.

    Args:
      splits: paths by class by split, as `Source.splits` has them.
      progress: is told how many pictures are done.
    """
    places = [
        (split, label, path)
        for split, classes in splits.items()
        for label, paths in classes.items()
        for path in paths
    ]
    found = []
    for facts in _inspect([path for *_, path in places]):
        found.append(facts)
        progress(len(found))
    decoded = [place[-1] for place, (_, width, *_) in zip(places, found, strict=True) if width]
    copies = find_copies(decoded)
    return [
        Entry(*place, *facts, copies.get(place[-1], ""))
        for place, facts in zip(places, found, strict=True)
    ]


def _inspect(paths: Sequence[str]) -> Iterator[tuple[str, int, int, str]]:
    """Format, width, height and problem of each file."""

    def look(path):
        read, encoded = attempt(tf.io.read_file, path, "")
        decoded, size = attempt(decoded_size, encoded, [0, 0])
        problem = tf.case(
            [
                (~read, lambda: tf.constant("cannot be read")),
                (~decoded, lambda: picture_problem(encoded)),
            ],
            default=lambda: tf.constant(""),
        )
        return tf.strings.substr(encoded, 0, HEADER_BYTES), size, problem

    files = tf.data.Dataset.from_tensor_slices(tf.constant(paths, tf.string))
    for start, (height, width), problem in files.map(look, tf.data.AUTOTUNE).as_numpy_iterator():
        yield picture_format(start) or "", int(width), int(height), problem.decode()
