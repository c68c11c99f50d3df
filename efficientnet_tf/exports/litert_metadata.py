"""TensorFlow Lite's metadata of an image classifier, which Android's tools read out of the file.

The schema is `metadata_schema.fbs` of tensorflow/tflite-support, version 1.1.0. Its own writer has
not been released since 2023 and installs on no Python of today; these are the few tables of it that
a classifier needs, each field by its place in its table.
"""

from collections.abc import Callable, Sequence

import flatbuffers
import numpy as np

from efficientnet_tf.exports.network import ExportedNetwork

METADATA = "TFLITE_METADATA"
LABELS_FILE = "labels.txt"
_IDENTIFIER = b"M001"
_PARSER = "1.0.0"
_IMAGE_PROPERTIES, _NORMALIZATION, _RGB, _AXIS_LABELS = 2, 1, 1, 2  # of the schema's enumerations


class _Builder(flatbuffers.Builder):
    """A builder with a call for a whole table."""

    def table(
        self, fields: dict[int, int], numbers: dict[int, tuple[str, int]] | None = None
    ) -> int:
        """A table.

        Args:
          fields: place -> offset of a table, vector or string that was built before.
          numbers: place -> `("Int8" or "Uint32", value)`.
        """
        numbers = numbers or {}
        self.StartObject(1 + max([*fields, *numbers], default=-1))
        for place, offset in fields.items():
            self.PrependUOffsetTRelativeSlot(place, offset, 0)
        for place, (kind, value) in numbers.items():
            getattr(self, f"Prepend{kind}Slot")(place, value, 0)
        return self.EndObject()

    def vector(self, offsets: Sequence[int]) -> int:
        self.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.PrependUOffsetTRelative(offset)
        return self.EndVector()

    def floats(self, *values: float) -> int:
        return self.CreateNumpyVector(np.array(values, np.float32))


def metadata(network: ExportedNetwork) -> bytes:
    """The flatbuffer `ModelMetadata`.

    The normalisation is a part of the network, so what it announces is none: mean 0, deviation 1.
    """
    build = _Builder()
    text: Callable[[str], int] = build.CreateString
    size = network.image_size
    graph = build.table({
        2: build.vector([_image(build, size)]),
        3: build.vector([_probabilities(build)]),
    })  # fmt: skip
    model = build.table({
        0: text(network.model.name),
        1: text(f"Classifies images into {len(network.label_names)} classes."),
        3: build.vector([graph]),
        7: text(_PARSER),
    })  # fmt: skip
    build.Finish(model, _IDENTIFIER)
    return bytes(build.Output())


def _image(build: _Builder, size: int) -> int:
    """`TensorMetadata` of the input."""
    side = build.table({}, {0: ("Uint32", size), 1: ("Uint32", size)})
    properties = build.table({1: side}, {0: ("Int8", _RGB)})
    content = build.table({1: properties}, {0: ("Uint8", _IMAGE_PROPERTIES)})
    none = build.table({0: build.floats(0), 1: build.floats(1)})
    unit = build.table({1: none}, {0: ("Uint8", _NORMALIZATION)})
    return build.table({
        0: build.CreateString("image"),
        1: build.CreateString(f"RGB in 0..255, {size} x {size} pixels"),
        3: content,
        4: build.vector([unit]),
        5: _stats(build, 0, 255),
    })  # fmt: skip


def _probabilities(build: _Builder) -> int:
    """`TensorMetadata` of the output."""
    names = build.table({0: build.CreateString(LABELS_FILE)}, {2: ("Int8", _AXIS_LABELS)})
    content = build.table({1: build.table({})}, {0: ("Uint8", 1)})  # FeatureProperties
    return build.table({
        0: build.CreateString("probabilities"),
        1: build.CreateString("of each class"),
        3: content,
        5: _stats(build, 0, 1),
        6: build.vector([names]),
    })  # fmt: skip


def _stats(build: _Builder, low: float, high: float) -> int:
    return build.table({0: build.floats(high), 1: build.floats(low)})
