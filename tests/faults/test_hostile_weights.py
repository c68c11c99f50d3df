"""Weight files made to run code, to reach into other files or to exhaust memory: refused."""

import json
import logging
import os
import pickle
import resource
import shutil
import struct
import subprocess
import sys
import types

import h5py
import numpy as np
import pytest
import tensorflow as tf
from helpers.forged_bundle import read_table, shape, varint, write_table
from helpers.fuzz_weights import INDEX, NETWORK, write_all

from efficientnet_tf.arch.variants import VARIANTS
from efficientnet_tf.config import UserError
from efficientnet_tf.weights.description import Description
from efficientnet_tf.weights.formats.bundle_index import _uncompressed, read_index
from efficientnet_tf.weights.formats.tf1_checkpoint import checkpoint_prefix
from efficientnet_tf.weights.loading import load_weights, open_weights
from efficientnet_tf.weights.naming import checkpoint_variables
from efficientnet_tf.weights.opened import network_for


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A tiny network and the folder of its weights in every format."""
    folder = tmp_path_factory.mktemp("weights")
    return write_all(folder), folder


def line(model, path):
    """What loading raises; nothing is loaded."""
    before = [variable.numpy() for variable in model.weights]
    with pytest.raises(UserError) as error:
        load_weights(model, path)
    assert "\n" not in str(error.value) and str(path.parent) in str(error.value)
    for variable, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(variable, value)
    return str(error.value).removeprefix(str(path))


def peak_megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


# HDF5


@pytest.fixture
def h5(network, tmp_path):
    """A copy of the `.weights.h5`, and the name of the dataset of the first kernel."""
    path = shutil.copy(network[1] / "a.weights.h5", tmp_path / "a.weights.h5")
    with h5py.File(path) as file:
        name = next(name for name in file["layers/conv_batch_norm"] if name.startswith("conv"))
        assert file[f"layers/conv_batch_norm/{name}/vars/0"].ndim == 4
    return path, f"layers/conv_batch_norm/{name}/vars/0"


def as_text(file, name, path):
    del file[name]
    file[name] = ["abc"]


def as_nothing(file, name, path):
    del file[name]
    file[name] = h5py.Empty("f4")


def as_pairs(file, name, path):
    del file[name]
    file.create_dataset(name, (2,), dtype=[("a", "f4"), ("b", "i4")])


def as_complex(file, name, path):
    value = file[name][()].astype("c8")
    del file[name]
    file[name] = value


def as_whole_numbers(file, name, path):
    value = file[name][()].astype("i4")
    del file[name]
    file[name] = value


def as_scalar(file, name, path):
    del file[name]
    file[name] = np.float32(1)


def foreign(file, name, path):
    """A file that holds an array of the right shape; what was there is removed."""
    value, other = file[name][()], path.with_name("secret.h5")
    del file[name]
    with h5py.File(other, "w") as target:
        target["x"] = value
    return other, value.shape


def as_virtual(file, name, path):
    other, sides = foreign(file, name, path)
    layout = h5py.VirtualLayout(sides, "f4")
    layout[:] = h5py.VirtualSource(str(other), "x", shape=sides)
    file.create_virtual_dataset(name, layout)


def as_link(file, name, path):
    other, _ = foreign(file, name, path)
    file[name] = h5py.ExternalLink(str(other), "x")


def as_external_storage(file, name, path):
    other, sides = foreign(file, name, path)
    file.create_dataset(name, sides, "f4", external=[(str(other), 0, h5py.h5f.UNLIMITED)])


def with_numbers_for_a_description(file, name, path):
    del file["efficientnet_tf.json"]
    file["efficientnet_tf.json"] = np.ones(3)


def with_a_deep_description(file, name, path):
    del file["efficientnet_tf.json"]
    file["efficientnet_tf.json"] = "[" * 200_000


H5 = {
    as_text: "holds no numbers",
    as_nothing: "holds no numbers",
    as_pairs: "holds no numbers",
    as_complex: "holds no numbers",
    as_whole_numbers: "holds int32, not floating-point numbers",
    as_scalar: "has 0 dimensions, not those of weights",
    as_virtual: "lies in another file; weights lie in one file",
    as_link: "lies in another file; weights lie in one file",
    as_external_storage: "lies in another file; weights lie in one file",
    with_numbers_for_a_description: "is damaged: not a text",
    with_a_deep_description: "is damaged: not JSON",
}


@pytest.mark.parametrize("change", H5)
def test_hdf5(network, h5, change):
    path, name = h5
    with h5py.File(path, "a") as file:
        change(file, name, path)
    assert line(network[0], path).endswith(H5[change])


def test_a_sparse_hdf5_file_is_refused_unread(network, h5):
    path, name = h5
    with h5py.File(path, "a") as file:
        del file[name]
        file.create_dataset(name, (4 << 30,), "f4", chunks=(1 << 20,))  # takes no place
    before = peak_megabytes()
    announced = line(network[0], path)
    assert announced.startswith(" announces 17,18") and announced.endswith("not its weights")
    assert peak_megabytes() - before < 100


# safetensors


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
def test_a_damaged_config_of_timm_is_named(network, tmp_path, text):
    path = tmp_path / "efficientnet_b0.safetensors"

    def without_description(header):
        return {name: entry for name, entry in header.items() if name != "__metadata__"}

    path.write_bytes(safetensors(network[1], without_description))
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError, match=r"config\.json is damaged"):
        load_weights(network[0], path)


NETWORKS = [
    {"name": 5},
    {"blocks": []},
    {"blocks": [[]]},
    {"width_coefficient": 1e9},
    {"width_coefficient": "wide"},
    {"width_coefficient": float("nan")},
    {"depth_coefficient": 1e9},
    {"depth_coefficient": 10**12},
    {"head_filters": 1e3},
    {"head_filters": 10**9},
    {"depth_divisor": 0},
    {"min_rounding": None},
    {"input_size": 10**9},
    {"input_size": 0},
    {"batch_norm_epsilon": -1.0},
    {"mean_rgb": [1, 2]},
    {"mean_rgb": ["1", "2", "3"]},
    {"padding": 1},
]
BLOCKS = [
    {"kernel_size": 10**5},
    {"num_repeat": 10**9},
    {"num_repeat": True},
    {"strides": 0},
    {"se_ratio": "x"},
    {"id_skip": 1},
    {"expand_ratio": 10**8},
]


@pytest.mark.parametrize("part, changes", [*((0, c) for c in NETWORKS), *((1, c) for c in BLOCKS)])
def test_a_description_of_no_network_is_refused(part, changes):
    described = json.loads(Description(NETWORK).to_json())
    (described["network"], described["network"]["blocks"][0])[part].update(changes)
    with pytest.raises(UserError, match="^here is damaged: not a model's fields$"):
        Description.from_json(json.dumps(described), "here")


@pytest.mark.parametrize(
    "changes", [{"step": "x"}, {"kind": 5}, {"loss": None}, {"label_names": [1]}, {"more": 1}]
)
def test_a_description_of_another_form_is_refused(changes):
    described = {**json.loads(Description(NETWORK).to_json()), **changes}
    with pytest.raises(UserError, match="^here is damaged"):
        Description.from_json(json.dumps(described), "here")


def test_every_variant_can_be_described():
    for config in VARIANTS.values():
        described = Description(config, label_names=("a",), step=3, kind="ema")
        assert Description.from_json(described.to_json(), "here") == described


def test_a_classifier_of_billions_is_not_built(network, h5):
    path, _ = h5
    with h5py.File(path, "a") as file:
        del file["layers/dense/vars/1"]
        file.create_dataset("layers/dense/vars/1", (2 << 30,), "f4", chunks=(1 << 20,))
    with pytest.raises(UserError, match="announces 2147483648 classes, more than any data"):
        network_for(open_weights(path), None, {})


# Pickles


class Canary:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin", ".safetensors", ".keras", ".h5"])
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


# TensorFlow's checkpoints


@pytest.fixture
def tf1(network, tmp_path):
    return shutil.copytree(network[1] / "tf1", tmp_path / "tf1")


@pytest.mark.parametrize("name", ["{0}/secret/model.ckpt", "../secret/model.ckpt"])
def test_a_state_file_does_not_lead_out_of_its_folder(tf1, tmp_path, caplog, name):
    shutil.copytree(tf1, tmp_path / "secret")
    name = name.format(tmp_path)
    (tf1 / "checkpoint").write_text(f'model_checkpoint_path: "{name}"\n')
    with caplog.at_level(logging.WARNING):
        assert checkpoint_prefix(str(tf1)) == f"{tf1}/model.ckpt"
    assert [r.message for r in caplog.records] == [
        f"{tf1}: its file 'checkpoint' names {os.path.join(tf1, name)}; {tf1}/model.ckpt is taken"
    ]
    for file in tf1.glob("model.ckpt.*"):
        file.unlink()
    with pytest.raises(UserError, match=r"no checkpoint \(\*\.index\) in this directory"):
        checkpoint_prefix(str(tf1))


@pytest.mark.parametrize("state", [b"", b"\xff\xfe", b"model_checkpoint_path: 5", b"\0"])
def test_a_damaged_state_file_does_not_matter(tf1, state):
    (tf1 / "checkpoint").write_bytes(state)
    assert checkpoint_prefix(str(tf1)) == f"{tf1}/model.ckpt"


def test_the_index_is_read_as_tensorflow_reads_it(tf1):
    found = read_index(str(tf1 / INDEX))
    reader = tf.train.load_checkpoint(str(tf1 / "model.ckpt"))
    assert {n: list(e.shape) for n, e in found.items()} == reader.get_variable_to_shape_map()
    assert {n: e.dtype for n, e in found.items()} == reader.get_variable_to_dtype_map()
    table = (tf1 / INDEX).read_bytes()
    (tf1 / INDEX).write_bytes(write_table(read_table(table)))
    assert read_index(str(tf1 / INDEX)) == found


def test_snappy():
    """By hand, from its format description: a literal, an overlapping copy, a copy of 2 bytes."""
    packed = bytes([14, 3 << 2]) + b"abcd" + bytes([(6 - 4) << 2 | 1, 2, (4 - 1) << 2 | 2, 10, 0])
    assert _uncompressed(packed) == b"abcd" + b"cdcdcd" + b"abcd"
    long = bytes([*varint(300), 61 << 2]) + struct.pack("<H", 299) + b"x" * 300
    assert _uncompressed(long) == b"x" * 300
    with pytest.raises(ValueError):
        _uncompressed(b"\xff\xff\x03" + packed[1:])


INDICES = {
    "negative side": shape(-5),
    "two negative sides": shape(-8, -1, 3, 3),
    "too many numbers": shape(1 << 62, 1 << 62),
    "too many numbers, of none": shape(0, 1 << 40, 1 << 40),
    "too many sides": shape(*[1] * 300),
    "no rank": b"\x12\x02\x18\x01",
    "16 GB": shape(1 << 32),
    "16 GB that are said to be there": shape(1 << 32) + b"\x28" + varint(1 << 34),
    "a size of another shape": b"\x28" + varint(12),
    "a string": b"\x08\x07",
    "an unknown dtype": b"\x08\x63",
    "no message": b"\xff" * 20,
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", INDICES)
def test_a_forged_index_is_refused(network, tf1, fault):
    """TensorFlow itself ends the process at the first of these."""
    entries = read_table((tf1 / INDEX).read_bytes())
    for key in [key for key in entries if b"stem/conv2d/kernel" in key]:
        # A later field replaces one before it, but a shape is merged: it is left out first.
        start = entries[key].index(b"\x12")
        rest = entries[key][:start] + entries[key][start + 2 + entries[key][start + 1] :]
        keeps_shape = INDICES[fault][:1] != b"\x12"
        entries[key] = (entries[key] if keeps_shape else rest) + INDICES[fault]
    (tf1 / INDEX).write_bytes(write_table(entries))
    if "said to be" in fault:
        os.truncate(tf1 / "model.ckpt.data-00000-of-00001", 20 << 30)
    before = peak_megabytes()
    line(network[0], tf1 / INDEX)
    assert peak_megabytes() - before < 100


@pytest.mark.slow
def test_tensorflow_would_not_survive_a_negative_side(tf1):
    """Why the index is read twice: this may be mended one day."""
    entries = read_table((tf1 / INDEX).read_bytes())
    (tf1 / INDEX).write_bytes(write_table({**entries, b"x": b"\x08\x01" + shape(-5)}))
    code = f"import tensorflow as tf; tf.train.load_checkpoint({str(tf1 / 'model.ckpt')!r})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == -6


def test_weights_that_fit_are_loaded(network):
    """The folder of the network is as it was: each of its files still loads."""
    model, folder = network
    kernel = checkpoint_variables(model)["stem/conv2d/kernel"]
    wanted = kernel.numpy()
    for name in ("a.safetensors", "a.weights.h5", "a.keras", "tf1"):
        kernel.assign(np.zeros(kernel.shape))
        load_weights(model, folder / name)
        np.testing.assert_array_equal(kernel, wanted)
