"""What is wrong with the features of a `tf.train.Example`.

TensorFlow's parser names one feature that it cannot read, and takes a missing one for its default.
"""

from collections.abc import Mapping

import tensorflow as tf

from efficientnet_tf.data.pictures.attempt import attempt

_NAMED_AT_MOST = 20
# What `tf.train.Feature` may hold: the message of its list, and the type of a value.
_LISTS = {
    "bytes": ("tensorflow.BytesList", tf.string),
    "float": ("tensorflow.FloatList", tf.float32),
    "int64": ("tensorflow.Int64List", tf.int64),
}


def features_fault(record: tf.Tensor, expected: Mapping[str, str]) -> tf.Tensor:
    """Why a record does not have one value of each expected feature; empty if it does.

    Args:
      record: serialized, a scalar string.
      expected: `bytes`, `float` or `int64` by the name of the feature.

    Returns:
      The end of a sentence, a scalar string. Works in graphs, those of other processes too.
    """

    def look(record):
        names, features = _features(record)
        missing = [~tf.reduce_any(names == name) for name in expected]
        wanted = tf.boolean_mask(list(expected), tf.stack(missing))
        return tf.cond(
            tf.reduce_any(missing),
            lambda: tf.strings.join(["lacks ", _listed(wanted), "; it has ", _listed(names)]),
            lambda: _values_fault(names, features, expected),
        )

    return attempt(look, record, tf.constant("is damaged or not a tf.Example"))[1]


def _features(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Names and serialized features of a record, strings `[n]`."""
    _, (features,) = _decode(record, "tensorflow.Example", features=tf.string)
    count, (entries,) = _decode(features[0], "tensorflow.Features", feature=tf.string)
    _, (names, values) = _decode(
        entries[: count[0]], "tensorflow.Features.FeatureEntry", key=tf.string, value=tf.string
    )
    return names[:, 0], values[:, 0]


def _values_fault(names, features, expected) -> tf.Tensor:
    """Of the first of the expected features, all of them there, that is not one such value."""
    fault = tf.constant("")
    for name, kind in reversed(expected.items()):
        counts = _count_values(features[names == name][-1])
        place = list(_LISTS).index(kind)
        others = tf.boolean_mask(list(_LISTS), counts > 0)
        values = tf.strings.join([tf.strings.as_string(counts[place]), " values"])
        found = tf.cond(
            (counts[place] == 0) & (tf.size(others) > 0), lambda o=others: o[0], lambda v=values: v
        )
        problem = tf.strings.join(["has ", found, f" in {name}, not one {kind} value"])
        fault = tf.cond(
            (counts[place] == 1) & (tf.size(others) == 1), lambda f=fault: f, lambda p=problem: p
        )
    return fault


def _count_values(feature: tf.Tensor) -> tf.Tensor:
    """How many values of each kind a serialized feature has, int32 `[3]`."""
    fields = {f"{kind}_list": tf.string for kind in _LISTS}
    _, lists = _decode(feature, "tensorflow.Feature", **fields)
    return tf.stack(
        [
            _decode(values[0], message, value=dtype)[0][0]
            for values, (message, dtype) in zip(lists, _LISTS.values(), strict=True)
        ]
    )


def _decode(serialized: tf.Tensor, message: str, **fields: tf.DType):
    """How often each field is there, and its values, of a protocol buffer that TensorFlow knows."""
    return tf.io.decode_proto(serialized, message, list(fields), list(fields.values()))


def _listed(names: tf.Tensor) -> tf.Tensor:
    """Names, strings `[n]` that may be anything, in one printable line."""
    names = tf.strings.unicode_transcode(
        names, "UTF-8", "UTF-8", replacement_char=ord("?"), replace_control_characters=True
    )
    more = tf.size(names) - _NAMED_AT_MOST
    first = tf.strings.reduce_join(names[:_NAMED_AT_MOST], separator=", ")
    rest = tf.strings.join([first, " and ", tf.strings.as_string(more), " more"])
    return tf.where(more > 0, rest, first)
