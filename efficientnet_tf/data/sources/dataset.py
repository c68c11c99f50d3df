"""Data of one's own: `tf.data.Dataset`s of pictures and labels."""

from collections.abc import Sequence

import tensorflow as tf

from efficientnet_tf.config import DataConfig, UserError
from efficientnet_tf.data.sources.source import Picture, StreamSource


class DatasetSource(StreamSource):
    """`DatasetSource(train, evaluation, num_classes=5)`: finite data sets of `(image, label)`.

    An image is an encoded picture, a scalar string, or uint8 or float `[H, W, 3]` in 0..255; a
    label is an integer scalar, 0..num_classes-1, or, where pictures have any number of labels, a
    vector [num_classes] of ones and zeros. The pipeline crops, resizes, augments and batches.

    The order of an epoch is the data set's own: shuffle it. A resumed run skips what was already
    seen, and each of several hosts keeps every `host_count`-th element; both are exact if the data
    set yields the same elements in the same order when it is read again, as
    `.shuffle(buffer, seed=…, reshuffle_each_iteration=False)` does.

    A data set whose length TensorFlow does not know (`cardinality()`) is read once to count it;
    `.apply(tf.data.experimental.assert_cardinality(n))` saves that. `num_train_images` and
    `num_eval_images` of a `DataConfig` do not apply: use `.take(n)`.

    Args:
      train, evaluation: the two splits; None for one that is not there.
      num_classes: of the data, background not counted.
      label_names: one per class.

    Raises:
      UserError: elements of another form, or a data set without end.
    """

    name = "dataset"
    is_splittable = False

    def __init__(
        self,
        train: tf.data.Dataset | None,
        evaluation: tf.data.Dataset | None,
        num_classes: int,
        label_names: Sequence[str] | None = None,
    ):
        splits = [split for split in (train, evaluation) if split is not None]
        if not splits:
            raise UserError("DatasetSource: give a data set to train on or one to evaluate")
        if label_names is not None and len(label_names) != num_classes:
            raise UserError(f"DatasetSource: {len(label_names)} names for {num_classes} classes")
        kinds = {_checked_kind(split, num_classes) for split in splits}
        if len(kinds) > 1:
            raise UserError("DatasetSource: both splits must be encoded pictures, or neither, and "
                            "have labels of one form")  # fmt: skip
        self.config = DataConfig(dataset=self.name)
        self.is_encoded, has_vectors = kinds.pop()
        if has_vectors:
            self.multi_label_reason = "the labels are vectors"
        self.num_classes = num_classes
        self.label_names = None if label_names is None else list(label_names)
        self._train, self._eval = train, evaluation
        self._train_size, self._eval_size = _count(train), _count(evaluation)

    @property
    def num_train_images(self) -> int | None:
        return self._train_size

    @property
    def num_eval_images(self) -> int | None:
        return self._eval_size

    def train_stream(
        self, seed: int, start: int, host_index: int, host_count: int
    ) -> tf.data.Dataset:
        size = self._train_size
        if not size:
            raise UserError("DatasetSource: no pictures to train on")
        elements = self._train.skip(start % size).concatenate(self._train.repeat())

        def tag(position, element):
            epoch, index = position // size, position % size
            return {"raw": _raw(index, element), "epoch": epoch, "index": index}

        return elements.enumerate(start).shard(host_count, host_index).map(tag)

    def eval_stream(self, host_index: int, host_count: int) -> tf.data.Dataset:
        if not self._eval_size:
            raise UserError("DatasetSource: no pictures to evaluate")
        return self._eval.enumerate().shard(host_count, host_index).map(_raw)

    def read_train(self, raw) -> Picture:
        image = raw["image"]
        if image.dtype not in (tf.string, tf.uint8):
            image = tf.cast(image, tf.float32)
        return Picture(
            image, tf.cast(raw["label"], tf.float32 if self.is_multi_label else tf.int64)
        )

    read_eval = read_train

    def name_train(self, raw) -> tf.Tensor:
        return tf.strings.join(["training example ", tf.strings.as_string(raw["number"])])

    def name_eval(self, raw) -> tf.Tensor:
        return tf.strings.join(["evaluation example ", tf.strings.as_string(raw["number"])])


def _raw(number: tf.Tensor, element: tuple) -> dict:
    """A raw element of the streams."""
    image, label = element
    return {"number": number, "image": image, "label": label}


def _checked_kind(dataset: tf.data.Dataset, num_classes: int) -> tuple[bool, bool]:
    """Whether images are encoded, and labels vectors; elements must be pairs of the two."""
    spec = dataset.element_spec
    if isinstance(spec, tuple) and len(spec) == 2:
        image, label = spec
        is_vector = label.shape.rank == 1 and label.shape.is_compatible_with([num_classes])
        is_class = label.dtype.is_integer and label.shape.is_compatible_with([])
        is_picture = image.dtype == tf.string and image.shape.is_compatible_with([])
        is_pixels = image.dtype == tf.uint8 or image.dtype.is_floating
        is_pixels &= image.shape.is_compatible_with([None, None, 3])
        if (is_class or is_vector) and (is_picture or is_pixels):
            return image.dtype == tf.string, is_vector
    raise UserError(
        "DatasetSource takes unbatched pairs of an image (encoded, or uint8 or float [H, W, 3]) "
        f"and an integer label, or a vector of {num_classes} of them, not {spec}"
    )


def _count(dataset: tf.data.Dataset | None) -> int | None:
    if dataset is None:
        return None
    size = int(dataset.cardinality())
    if size == tf.data.INFINITE_CARDINALITY:
        raise UserError("DatasetSource: a data set without end; leave out repeat()")
    if size == tf.data.UNKNOWN_CARDINALITY:
        size = int(dataset.reduce(tf.constant(0, tf.int64), lambda count, _: count + 1))
    return size
