"""Damaged weights through the package's loading: `python -m helpers.fuzz_weights COUNT SEED`."""

import contextlib
import re
import struct
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path

import keras

from efficientnet_tf.config import UserError
from efficientnet_tf.nn.network import build_network
from efficientnet_tf.weights.conversion import write_weights
from efficientnet_tf.weights.description import Description
from efficientnet_tf.weights.loading import load_opened, open_weights
from helpers import fuzz
from helpers.forged_bundle import read_table, write_table
from helpers.toy import toy_config

NETWORK = toy_config()
INDEX, DATA = "model.ckpt.index", "model.ckpt.data-00000-of-00001"
FILES = (
    "a.safetensors",
    "a.weights.h5",
    "a.keras",
    f"tf1/{INDEX}",
    f"tf1/{DATA}",
    "tf1/checkpoint",
)


def write_all(folder: Path) -> keras.Model:
    """The weights of a tiny network in every format, `FILES`; the network."""
    keras.utils.set_random_seed(0)
    model = build_network(NETWORK, input_shape=(32, 32, 3))
    for name in ("a.safetensors", "a.weights.h5", "a.keras", "tf1/model.ckpt"):
        write_weights(model, Description(NETWORK), folder / name)
    return model


def damaged_table(random, table: bytes) -> bytes:
    """An `.index` with faults in one of its entries, whose checksums fit."""
    entries = read_table(table)
    key = sorted(entries)[random.randint(len(entries))]
    return write_table({**entries, key: fuzz.mutant(random, entries[key], b"")})


def repaired_zip(archive: bytes) -> bytes:
    """A zip file whose checksums are those of what its members hold, as far as they are found."""
    data = bytearray(archive)
    with contextlib.suppress(struct.error):  # behind the end of the file
        for match in re.finditer(rb"PK\x01\x02", archive):
            at = match.start()
            (size,), (local,) = (struct.unpack_from("<I", archive, at + n) for n in (20, 42))
            begin = local + 30 + sum(struct.unpack_from("<2H", archive, local + 26))
            checksum = struct.pack("<I", zlib.crc32(archive[begin : begin + size]))
            data[at + 16 : at + 20] = data[local + 14 : local + 18] = checksum
    return bytes(data)


def damaged(random, name: str, original: bytes) -> bytes:
    """A file with faults; every second one with checksums that fit all the same."""
    if name.endswith(".index") and random.rand() < 0.5:
        return damaged_table(random, original)
    mutant = fuzz.mutant(random, original, original)
    return repaired_zip(mutant) if name.endswith(".keras") and random.rand() < 0.5 else mutant


def main(count: int, seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _survey(Path(folder), count, seed)


def _survey(folder: Path, count: int, seed: int) -> None:
    model = write_all(folder)
    originals = {name: (folder / name).read_bytes() for name in FILES}
    assert zipfile.is_zipfile(folder / "a.keras")
    assert repaired_zip(originals["a.keras"]) == originals["a.keras"]

    def outcome(file):
        name, content = file
        path = folder / name
        try:
            path.write_bytes(content)
            load_opened(model, open_weights(path.parent if name.startswith("tf1/") else path))
        except UserError as error:
            assert "\n" not in str(error), str(error)
            return f"{name} refused"
        finally:
            path.write_bytes(originals[name])
        return f"{name} loaded"

    for name in FILES:  # warm, and proof that undamaged ones are loaded
        assert outcome((name, originals[name])).endswith("loaded")
    fuzz.survey(_files(originals, count, seed), outcome)


def _files(originals, count, seed):
    for number in range(count):
        random, name = fuzz.random_of(seed, number), FILES[number % len(FILES)]
        yield name, damaged(random, name, originals[name])


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
