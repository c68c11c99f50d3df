"""Damaged pictures through the package's decoding: `python -m helpers.fuzz_pictures COUNT SEED`."""

import io
import struct
import sys
import zlib

import numpy as np
import tensorflow as tf
from PIL import Image

from efficientnet_tf import data
from efficientnet_tf.data.bad_examples import ExampleLoader
from efficientnet_tf.data.pictures.decode import whole_box
from efficientnet_tf.data.pictures.headers import MAX_PIXELS
from efficientnet_tf.data.sources import Picture
from helpers import fuzz

PNG_START = b"\x89PNG\r\n\x1a\n"


def originals() -> list[bytes]:
    """Noise in every format, and in every way of writing it that decoders have code for."""
    pixels = np.random.RandomState(0).randint(0, 256, (2, 24, 32, 3)).astype(np.uint8)
    first, second = map(Image.fromarray, pixels)
    frames = {"save_all": True, "append_images": [second]}
    return [
        encode(first, "JPEG"),
        encode(first, "JPEG", progressive=True),
        encode(first, "JPEG", subsampling=0, restart_marker_blocks=1),
        encode(first.convert("CMYK"), "JPEG"),
        encode(first.convert("L"), "JPEG"),
        encode(first, "PNG"),
        encode(first.convert("P"), "PNG"),
        encode(first.convert("RGBA"), "PNG"),
        encode(first.convert("P"), "GIF"),
        encode(first.convert("P"), "GIF", **frames),
        encode(first, "BMP"),
        encode(first.convert("L"), "BMP"),
        encode(first, "WEBP"),
        encode(first, "WEBP", lossless=True),
        encode(first, "WEBP", **frames),
    ]


def encode(image, kind, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def repaired(encoded: bytes) -> bytes:
    """A PNG with the checksums that its chunks should have."""
    if not encoded.startswith(PNG_START):
        return encoded
    at, parts = len(PNG_START), [PNG_START]
    while at + 12 <= len(encoded):
        (length,) = struct.unpack(">I", encoded[at : at + 4])
        body = encoded[at + 4 : at + 8 + length]
        parts += [encoded[at : at + 4], body, struct.pack(">I", zlib.crc32(body))]
        at += 12 + length
    return b"".join([*parts, encoded[at:]])


def decoder(tolerant: bool):
    """A function from an encoded picture to "ok" or the line that says what is wrong with it."""
    loader = ExampleLoader(
        lambda encoded: Picture(encoded, 0), lambda _: tf.constant("this"), tolerant=tolerant
    )

    @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
    def load(encoded):
        loaded = loader.load(encoded, whole_box)
        return loader.finish({"image": loaded.image}, loaded.ok, encoded)

    def outcome(encoded):
        try:
            example = load(encoded)
        except tf.errors.OpError as error:
            return str(data.explain(error))
        image = example["image"].numpy()
        assert image.dtype == np.uint8 and 0 < image.size <= 3 * MAX_PIXELS
        return example["reason"].numpy().decode() or "ok" if tolerant else "ok"

    return outcome


def main(count: int, seed: int) -> None:
    strict, tolerant = decoder(False), decoder(True)
    for encoded in originals():  # warm, and proof that undamaged ones are decoded
        is_animated = encoded[12:16] == b"VP8X"
        assert (tolerant(encoded) == "ok") is not is_animated

    def outcome(encoded):
        lines = strict(encoded), tolerant(encoded)
        assert (lines[0] == "ok") == (lines[1] == "ok"), lines
        assert not any("\n" in line or line == "None" for line in lines), lines
        return lines[1]

    fuzz.survey(fuzz.mutants(originals(), count, seed, repaired), outcome)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
