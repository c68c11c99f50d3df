"""Any image classification data set of tensorflow_datasets, by name.

Read from its TFRecord files like ImageNet: undecoded, shuffled and sharded by us. The evaluation
split is `validation`, else `test`; where there is neither, every tenth record of each file.
"""

import contextlib
import difflib
import io
import logging
import os
from collections.abc import Iterator

import tensorflow as tf

from efficientnet_tf.config import DataConfig, UserError
from efficientnet_tf.data.sources.notice import announced
from efficientnet_tf.data.sources.records import RecordSource
from efficientnet_tf.data.sources.source import Picture

_EVAL_SPLITS = ("validation", "test")
_DOWNLOAD_RETRIES = 3  # tfds's own ten take three minutes without a network


class TFDSSource(RecordSource):
    """Class count, example counts and label names from the builder's own description."""

    def __init__(self, config: DataConfig):
        self.name = config.source_name
        builder = _prepared_builder(config)
        info = builder.info
        image, label = _image_and_label(config.source_name, info)
        self.num_classes = info.features[label].num_classes
        self.label_names = list(info.features[label].names)
        self._parse = _parser(info.features, image, label)
        if "train" not in info.splits:
            raise UserError(f"--dataset={config.source_name} has no split named train")
        held_out = next((name for name in _EVAL_SPLITS if name in info.splits), None)
        train = _files(info.splits["train"])
        evaluation = _files(info.splits[held_out]) if held_out else train
        super().__init__(config, list(train), list(evaluation), hold_out=held_out is None)
        self.shard_sizes = train | evaluation

    def parse(self, record: tf.Tensor) -> Picture:
        return self._parse(record)


def _prepared_builder(config: DataConfig):
    """The builder of the data set, downloaded and prepared now if it was not.

    Where files must be fetched by hand, tfds's error says how, and is kept as a whole.
    """
    import tensorflow_datasets as tfds

    name = config.source_name
    try:
        with _quiet():
            builder = tfds.builder(name, data_dir=config.data_dir, try_gcs=False)
            prepared = builder.is_prepared()
    except tfds.core.DatasetNotFoundError:
        raise _unknown(name, tfds.list_builders(with_community_datasets=False)) from None
    except Exception as error:
        raise UserError(f"--dataset={name} cannot be opened: {_first_line(error)}") from error
    if not prepared:
        try:
            with announced(f"{name}: tfds prepares it under {builder.data_path}"), _quiet():
                builder.download_and_prepare()
        except Exception as error:
            manual = bool(builder.MANUAL_DOWNLOAD_INSTRUCTIONS)
            raise UserError(
                f"--dataset={name} is not under --data_dir={builder.data_path} and could not be "
                f"prepared: {str(error).strip() if manual else _first_line(error)}"
            ) from error
    return builder


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences tfds's warnings and progress bars, and lowers the number of its retries.

    Its exceptions say everything that a user has to know.
    """
    from tensorflow_datasets.core.download import downloader

    disabled, retries = logging.root.manager.disable, downloader.MAX_RETRIES
    logging.disable(logging.WARNING)
    downloader.MAX_RETRIES = _DOWNLOAD_RETRIES
    chatter = io.StringIO()
    try:
        with contextlib.redirect_stdout(chatter), contextlib.redirect_stderr(chatter):
            yield
    finally:
        logging.disable(disabled)
        downloader.MAX_RETRIES = retries


def _unknown(name: str, known: list[str]) -> UserError:
    near = difflib.get_close_matches(name, ["tfrecord", "folder", "digits", "synthetic", *known], 3)
    hint = (
        f"did you mean {' or '.join(near)}?"
        if near
        else "neither a source of this package nor a tfds data set"
    )
    return UserError(f"unknown --dataset={name}; {hint}")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def _image_and_label(name: str, info) -> tuple[str, str]:
    """The keys of the picture and of its class."""
    import tensorflow_datasets as tfds

    def key_of(kind):
        keys = [key for key, feature in info.features.items() if isinstance(feature, kind)]
        preferred = [key for key in info.supervised_keys or () if key in keys]
        if not keys:
            raise UserError(f"--dataset={name} has no {kind.__name__}: not image classification")
        return (preferred or keys)[0]

    return key_of(tfds.features.Image), key_of(tfds.features.ClassLabel)


def _parser(features, image: str, label: str):
    import tensorflow_datasets as tfds

    # The picture stays encoded, so that decoding and cropping are one step.
    decoders = tfds.decode.PartialDecoding(
        {image: True, label: True}, decoders={image: tfds.decode.SkipDecoding()}
    )
    wanted = decoders.extract_features(features)

    def parse(record):
        example = wanted.deserialize_example(record, decoders=decoders.decoders)
        return Picture(example[image], example[label])

    return parse


def _files(split) -> dict[str, int]:
    """The files of a split and the records that each should hold."""
    files = [str(path) for path in split.filepaths]
    for path in files:
        if not tf.io.gfile.exists(path):
            raise UserError(f"{os.path.dirname(path)} lacks {os.path.basename(path)}; prepare the "
                            "data set again")  # fmt: skip
    return dict(zip(files, split.shard_lengths, strict=True))
