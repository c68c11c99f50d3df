"""Damaged `.safetensors`, damaged configurations beside them, and pickles: refused in one line."""

import json
import pickle
import struct
import sys
import types

import pytest
from helpers.refusal import line

from efficientnet_tf.config import UserError
from efficientnet_tf.weights.loading import load_weights


def safetensors(folder, header, length=None):
    """The file with another header, or another length of its header."""
    original = (folder / "a.safetensors").read_bytes()
    (size,) = struct.unpack("<Q", original[:8])
    header = header(json.loads(original[8 : 8 + size])) if callable(header) else header
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", length or len(header)) + header + original[8 + size :]


def tensor(**changes):
    """A change of the header's entry of one tensor."""
    name = "conv_stem.weight"
    return lambda header: {**header, name: {**header[name], **changes}}


SAFETENSORS = {
    "2**60": (lambda header: header, 2**60),
    "2**64-1": (lambda header: header, 2**64 - 1),
    "longer than the file": (lambda header: header, 10_000_000),
    "no JSON": (b"x" * 100, None),
    "a list": (b"[1, 2]", None),
    "deep": (b"[" * 100_000, None),
    "empty": (b"", None),
    "overlap": (tensor(data_offsets=[0, 10]), None),
    "out of range": (tensor(data_offsets=[0, 1 << 40]), None),
    "before the start": (tensor(data_offsets=[-4, 860]), None),
    "unknown dtype": (tensor(dtype="X9"), None),
    "dtype of another size": (tensor(dtype="F64"), None),
    "negative side": (tensor(shape=[-8, 3, 3, 3]), None),
    "huge side": (tensor(shape=[1 << 40, 1 << 40]), None),
    "scalar": (tensor(shape=[]), None),
    "no entry": (lambda header: {**header, "conv_stem.weight": None}, None),
    "whole numbers": (tensor(dtype="I32"), None),
    "description": (
        lambda header: {**header, "__metadata__": {"efficientnet_tf.json": "[" * 100_000}},
        None,
    ),
}


@pytest.mark.parametrize("fault", SAFETENSORS)
@pytest.mark.fault(
    "Weights",
    "damaged safetensors headers",
    "refused",
)
def test_safetensors(network, tmp_path, fault):
    model, folder = network
    path = tmp_path / "a.safetensors"
    path.write_bytes(safetensors(folder, *SAFETENSORS[fault]))
    line(model, path)


CONFIGS = [
    "[]",
    '"x"',
    "[" * 100_000,
    '{"architecture": 5}',
    '{"architecture": null}',
    '{"pretrained_cfg": 3}',
    '{"pretrained_cfg": {"mean": "abc", "std": [1, 1, 1]}}',
    '{"pretrained_cfg": {"mean": [1, 2], "std": [1, 1, 1]}}',
    '{"pretrained_cfg": {"mean": [NaN, 2, 3], "std": [1, 1, 1]}}',
    '{"pretrained_cfg": {"mean": [1, 2, 3], "std": [0, 1, 1]}}',
    "\0",
]


@pytest.mark.parametrize("text", CONFIGS)
@pytest.mark.fault(
    "Weights",
    "a damaged config.json of timm",
    "named",
)
def test_a_damaged_config_of_timm_is_named(network, tmp_path, text):
    path = tmp_path / "efficientnet_b0.safetensors"

    def without_description(header):
        return {name: entry for name, entry in header.items() if name != "__metadata__"}

    path.write_bytes(safetensors(network[1], without_description))
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError, match=r"config\.json is damaged"):
        load_weights(network[0], path)


class Canary:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin", ".safetensors", ".keras", ".h5"])
@pytest.mark.fault(
    "Weights",
    "a pickle that would run a program",
    "does not run",
)
def test_a_pickle_does_not_run(network, tmp_path, suffix):
    canary, path = tmp_path / "canary", tmp_path / f"a{suffix}"
    path.write_bytes(pickle.dumps({"conv_stem.weight": Canary(canary)}))
    with pytest.raises(UserError):
        load_weights(network[0], path)
    assert not canary.exists()
    pickle.loads(path.read_bytes())["conv_stem.weight"].close()
    assert canary.exists()  # it would have sung


def test_torch_is_asked_for_tensors_only(network, tmp_path, monkeypatch):
    asked = []

    def load(path, **options):
        asked.append(options)
        raise pickle.UnpicklingError("Weights only load failed.\nMore lines")

    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(load=load))
    path = tmp_path / "a.pth"
    path.write_bytes(b"")
    assert "(Weights only load failed.)" in line(network[0], path)
    assert asked == [{"map_location": "cpu", "weights_only": True}]
