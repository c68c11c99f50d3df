"""Turns errors of a running input pipeline into one line that names the file and the fix."""

import re

import tensorflow as tf

from efficientnet_tf.config import UserError
from efficientnet_tf.data.bad_examples import (
    BAD_EXAMPLE,
    evaluation_loader,
    training_loader,
)
from efficientnet_tf.data.sources.records import RecordSource
from efficientnet_tf.data.sources.shards import count_whole_records, locate
from efficientnet_tf.data.sources.source import Source, StreamSource

_BAD_EXAMPLE = re.compile(rf"\[{BAD_EXAMPLE}\] \[(?P<reason>.*?)\] \[(?P<name>.*?)\]\s", re.DOTALL)
_DAMAGED_RECORD = re.compile(r"(?P<how>corrupted|truncated) record at (?P<offset>\d+)")
_TOO_FEW = re.compile(r"expected to contain (?P<wanted>\d+) \w+ but contained only (?P<found>\d+)")
_MISSING_FILE = re.compile(r"(?P<path>\S+); No such file or directory")
_DECODER = re.compile(r"Invalid (JPEG|PNG|GIF|BMP)|image file format|JPEG")
_PARSER = re.compile(
    r"Could not parse example|Can't parse serialized Example|Data types don't match"
)


def explain(
    error: BaseException, source: Source | None = None, start_step: int | None = None
) -> UserError | None:
    """The cause of an error, if it came from one of the package's data sets.

    Args:
      error: what iterating a data set raised, directly or out of a `tf.function`.
      source: where the data came from; with it damaged shards and pictures are found and named.
      start_step: in training a step not long before the failure, where the search begins; None in
        evaluation.

    Returns:
      A one-line error to raise instead, None if the error has nothing to do with the data.
    """
    if isinstance(error, UnicodeDecodeError) and isinstance(source, RecordSource):
        # TensorFlow puts a record that it cannot parse into its message, whatever the bytes.
        return _find_bad_example(source, start_step)
    if isinstance(error, UserError) or not isinstance(error, tf.errors.OpError):
        return None
    message = f"{error.message} "
    if match := _BAD_EXAMPLE.search(message):
        return _bad_example(match["name"], match["reason"])
    if match := _DAMAGED_RECORD.search(message):
        where = _damaged_shard(int(match["offset"]), source)
        return UserError(
            f"{where} is {match['how']}: fetch the shard again, or skip up to N records an epoch "
            "with --max_bad_examples=N"
        )
    if match := _TOO_FEW.search(message):
        return _too_few(int(match["wanted"]), int(match["found"]), source)
    if match := _MISSING_FILE.search(message):
        return UserError(f"{match['path']} has disappeared while it was needed")
    if isinstance(error, tf.errors.InvalidArgumentError):
        for told, what in ((_DECODER, "picture could not be decoded"), (_PARSER, "record is bad")):
            if told.search(message):
                streams = isinstance(source, StreamSource)
                found = _find_bad_example(source, start_step) if streams else None
                return found or UserError(f"a {what}; --max_bad_examples=1 names it")
    return None


def _bad_example(name: str, reason: str) -> UserError:
    return UserError(
        f"{name} {reason}; repair or remove it, or skip up to N such examples an epoch with "
        "--max_bad_examples=N"
    )


def _find_bad_example(source: StreamSource, start_step: int | None) -> UserError | None:
    """Reads the examples again in the same order, for an epoch at most, until one fails."""
    config = source.config
    if start_step is None:
        loader, stream = evaluation_loader(source, config), source.eval_stream(0, 1)
    else:
        loader, start = training_loader(source, config), start_step * config.train_batch_size
        stream = source.train_stream(config.seed, start, 0, 1).take(source.num_train_images)
        stream = stream.map(lambda element: element["raw"])
    tried = stream.map(lambda raw: (loader.can_decode(raw), raw), tf.data.AUTOTUNE)
    for _, raw in tried.filter(lambda ok, raw: ~ok).take(1):
        name, reason = loader.describe(raw)
        return _bad_example(name.numpy().decode(), reason.numpy().decode())
    return None


def _damaged_shard(offset: int, source: Source | None) -> str:
    """The shard and record at a byte offset."""
    if isinstance(source, RecordSource):
        found = locate(source.train_shards + source.eval_shards, offset)
        if found:
            return f"{found[0]} record {found[1]}"
    return f"a TFRecord shard, at byte {offset},"


def _too_few(wanted: int, found: int, source: Source | None) -> UserError:
    """The error for a shard that was cut between two records, which only the count can show."""
    message = f"{found} records where {wanted} were announced: a shard is cut short"
    if isinstance(source, RecordSource):
        counts = count_whole_records(source.train_shards + source.eval_shards)
        shortest = min(counts, key=counts.get)
        message += f" (the shortest is {shortest} with {counts[shortest]})"
    return UserError(message + ", or --num_train_images / --num_eval_images is wrong")
