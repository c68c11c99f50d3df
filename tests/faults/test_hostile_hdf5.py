"""HDF5 files that hold no weights, reach into other files or announce more than there is."""

import shutil
import zipfile

import h5py
import numpy as np
import pytest
from helpers.refusal import line, peak_megabytes

from efficientnet_tf.config import UserError
from efficientnet_tf.weights.loading import load_weights, open_weights
from efficientnet_tf.weights.naming import checkpoint_variables
from efficientnet_tf.weights.opened import network_for


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
@pytest.mark.fault(
    "Weights",
    "an .h5 of text, virtual, linked or external datasets, other types",
    "refused",
)
def test_hdf5(network, h5, change):
    path, name = h5
    with h5py.File(path, "a") as file:
        change(file, name, path)
    assert line(network[0], path).endswith(H5[change])


@pytest.mark.fault(
    "Weights",
    "a sparse .h5 of 16 GB",
    "refused unread",
)
def test_a_sparse_hdf5_file_is_refused_unread(network, h5):
    path, name = h5
    with h5py.File(path, "a") as file:
        del file[name]
        file.create_dataset(name, (4 << 30,), "f4", chunks=(1 << 20,))  # takes no place
    before = peak_megabytes()
    announced = line(network[0], path)
    assert announced.startswith(" announces 17,18") and announced.endswith("not its weights")
    assert peak_megabytes() - before < 100


def test_a_classifier_of_billions_is_not_built(network, h5):
    path, _ = h5
    with h5py.File(path, "a") as file:
        del file["layers/dense/vars/1"]
        file.create_dataset("layers/dense/vars/1", (2 << 30,), "f4", chunks=(1 << 20,))
    with pytest.raises(UserError, match="announces 2147483648 classes, more than any data"):
        network_for(open_weights(path), None, {})


@pytest.mark.slow
@pytest.mark.fault(
    "Weights",
    "a .keras archive that announces more than it holds",
    "refused",
)
def test_a_keras_file_announces_no_more_than_it_holds(network, tmp_path):
    model, folder = network
    path, weights = tmp_path / "a.keras", tmp_path / "model.weights.h5"
    with zipfile.ZipFile(folder / "a.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    weights.write_bytes(members["model.weights.h5"])
    with h5py.File(weights, "a") as file:
        del file["layers/dense/vars/0"]
        file.create_dataset("layers/dense/vars/0", (4 << 30,), "f4", chunks=(1 << 20,))
    forged = {**members, "model.weights.h5": weights.read_bytes()}
    bomb = {**members, "assets/zeros": bytes(400 << 20)}
    for content in (forged, bomb):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in content.items():
                archive.writestr(name, data)
        before = peak_megabytes()
        assert line(model, path).endswith("MB, more than its weights can be")
        assert peak_megabytes() - before < 100


def test_weights_that_fit_are_loaded(network):
    """The folder of the network is as it was: each of its files still loads."""
    model, folder = network
    kernel = checkpoint_variables(model)["stem/conv2d/kernel"]
    wanted = kernel.numpy()
    for name in ("a.safetensors", "a.weights.h5", "a.keras", "tf1"):
        kernel.assign(np.zeros(kernel.shape))
        load_weights(model, folder / name)
        np.testing.assert_array_equal(kernel, wanted)
