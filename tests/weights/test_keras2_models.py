"""Whole models that Keras 2 wrote, converted: equal outputs in a process that has Keras alone."""

import base64
import json
import marshal
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from helpers.command import call
from helpers.keras2_files import STAGES, WIDTH

from efficientnet_tf.config import BlockSpec, UserError
from efficientnet_tf.nn.network import build_network
from efficientnet_tf.weights.conversion import convert
from efficientnet_tf.weights.keras2.loading import load_keras2_model
from efficientnet_tf.weights.loading import load_weights, open_weights
from efficientnet_tf.weights.opened import network_for

FILES = Path(__file__).parents[1] / "data" / "keras2.zip"
PREDICT = """
import sys, keras, numpy as np
for path in sys.argv[1:]:
    model = keras.models.load_model(path)
    np.save(path + ".npy", model.predict(np.load(path[:-6] + ".npz")["images"], verbose=0))
assert "efficientnet_tf" not in sys.modules
"""


@pytest.fixture
def folder(tmp_path):
    with zipfile.ZipFile(FILES) as archive:
        archive.extractall(tmp_path)
    return tmp_path


def change(path, edit):
    """Edits the configuration in the file."""
    with h5py.File(path, "a") as file:
        config = json.loads(file.attrs["model_config"])
        edit(config["config"]["layers"])
        del file.attrs["model_config"]
        file.attrs["model_config"] = json.dumps(config)


def refusal(path, **layers):
    """The one line that refuses a file; nothing is written."""
    before = sorted(path.parent.iterdir())
    with pytest.raises(UserError) as error:
        convert(None, path, path.with_suffix(".keras"), layers=layers)
    assert "\n" not in str(error.value) and str(error.value).startswith(f"{path}: ")
    assert sorted(path.parent.iterdir()) == before
    return str(error.value).removeprefix(f"{path}: ")


@pytest.mark.slow
def test_equal_outputs_in_another_process(folder):
    names = ["sequence", "with_preprocessing", "flat", "with_operations", "with_lambda"]
    targets = [folder / f"{name}.keras" for name in names]
    command = call("--mode=convert", f"--init_checkpoint={folder}/flat.h5", targets[2])
    assert command.stdout == f"{targets[2]}: all of {folder}/flat.h5\n"
    for name, target in zip(names, targets, strict=True):
        if name != "flat":
            half = {"lambda": keras.layers.Rescaling(0.5)} if name == "with_lambda" else None
            assert convert(None, folder / f"{name}.h5", target, layers=half) is None
    subprocess.run([sys.executable, "-c", PREDICT, *map(str, targets)], check=True, cwd=folder)
    for name, target in zip(names, targets, strict=True):
        expected = np.load(folder / f"{name}.npz")["outputs"]
        scale = np.abs(expected).max()
        assert np.abs(expected[0] - expected[1]).max() > 0.02 * scale
        np.testing.assert_allclose(np.load(f"{target}.npy"), expected, rtol=0, atol=1e-5 * scale)


def test_structure_stays(folder, caplog):
    model = load_keras2_model(folder / "with_preprocessing.h5")
    network = model.get_layer("efficientnetb0")
    assert [layer.trainable for layer in network.layers[1:]].count(False) == 19
    assert model.get_layer("augment").layers[0].get_config()["mode"] == "horizontal"
    dense = next(layer for layer in model.layers if isinstance(layer, keras.layers.Dense))
    assert dense.kernel_regularizer.get_config()["l2"] == pytest.approx(1e-4)
    assert "'efficientnetb0' is called with training=False, which Keras 3 does not" in caplog.text


@pytest.mark.fault("Weights", "a Lambda in an .h5 of Keras 2", "refused, never run")
def test_a_lambda_is_refused_and_never_run(folder):
    path = folder / "with_lambda.h5"
    line = refusal(path)
    assert line.startswith("layer 'lambda' is a Lambda: Python code in the file, which is not run.")
    assert "layers={'lambda': keras.layers.Rescaling(1 / 255)}" in line
    code = compile(f"open({str(folder / 'run')!r}, 'w')", "x", "exec")
    text = base64.b64encode(marshal.dumps(code)).decode()
    change(path, lambda layers: layers[2]["config"].update(function=[text, None, None]))
    refusal(path)
    convert(None, path, folder / "x.keras", layers={"lambda": keras.layers.Rescaling(0.5)})
    assert not (folder / "run").exists()


@pytest.mark.parametrize(
    ("function", "module", "arguments", "expected"),
    [
        ("l2_normalize", "keras.backend", {"axis": -1}, "unit_norm"),
        ("swish", "tensorflow.python.ops.nn_impl", {}, "swish"),
        ("swish", "__main__", {}, None),  # a user's own function of that name
        ("l2_normalize", "keras.backend", {}, None),  # over the whole batch
    ],
)
def test_a_lambda_of_a_known_name(folder, function, module, arguments, expected):
    path = folder / "with_lambda.h5"
    said = {"function": function, "module": module, "arguments": arguments}
    change(path, lambda layers: layers[2]["config"].update(function_type="function", **said))
    if expected is None:
        assert refusal(path).startswith("layer 'lambda' is a Lambda")
        return
    layer = load_keras2_model(path).get_layer("lambda")
    x = np.array([[3.0, -4.0]], "float32")
    wanted = {"unit_norm": x / 5, "swish": x / (1 + np.exp(-x))}[expected]
    np.testing.assert_allclose(layer(x), wanted, rtol=1e-6)


def last(**settings):
    return lambda layers: layers[-1]["config"].update(settings)


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        (lambda layers: layers[-1].update(class_name="os.system"), "is of class os.system, which"),
        (last(activation="hard_sigmoid"), "Keras 3 computes hard_sigmoid by another formula"),
        (last(activation="my_own"), "'my_own' is no activation of Keras"),
        (last(units=10**9), "units=1000000000 is wider than every array in the file"),
        (last(units=3), "dense_1/kernel:0 of shape (8, 4) does not fit dense_1/kernel"),
        (last(units={"class_name": "x"}), "units is not a number, a text or a list of them"),
        (last(kind="x"), "Keras 3 has no setting kind='x' for it"),
        (lambda layers: layers.pop(), "with weights not in the model: dense_1"),
        (lambda layers: layers[-1].pop("config"), "not the configuration of a model"),
        (lambda layers: layers.append(layers[-1]), "not a model that can be rebuilt"),
    ],
)
@pytest.mark.fault("Weights", "an .h5 of Keras 2 whose configuration was changed", "refused")
def test_hostile_configurations(folder, edit, line):
    path = folder / "sequence.h5"
    change(path, edit)
    assert line in refusal(path)


def test_a_graph_that_is_connected_to_nothing(folder):
    path = folder / "flat.h5"
    change(path, lambda layers: layers[-1].update(inbound_nodes=[[["nothing", 0, 0, {}]]]))
    assert refusal(path).endswith("is connected to nothing")


def test_a_file_that_lacks_weights(folder):
    path = folder / "flat.h5"
    with h5py.File(path, "a") as file:
        del file["model_weights/stem_conv/stem_conv/kernel:0"]
    assert refusal(path) == "the file announces stem_conv/kernel:0 and does not hold it"


def test_a_whole_model_stays_as_it_is(folder):
    with pytest.raises(
        UserError, match="is a whole model and stays as it is: leave out model_name"
    ):
        convert("efficientnet-b0", folder / "flat.h5", folder / "x.keras")


@pytest.mark.slow
def test_a_users_layers_are_left_out_for_other_targets(folder, caplog):
    """And the optimizer's moments are not taken for weights, whose names they have."""
    path, target = folder / "sequence.h5", folder / "x.weights.h5"
    with h5py.File(path, "a") as file:
        expected = file["model_weights/efficientnetb0/stem_conv/kernel:0"][()]
        file["optimizer_weights/Adam/m/stem_conv/kernel:0"] = np.zeros_like(expected)
    stages = tuple(BlockSpec(*stage, se_ratio=0.25) for stage in STAGES)
    convert("efficientnet-b0", path, target, blocks=stages, width_coefficient=WIDTH)
    assert "its own layers are left out: global_max_pooling2d, batch_normalization" in caplog.text
    model = build_network(network_for(open_weights(target), None, {}), include_top=False)
    load_weights(model, target)
    np.testing.assert_array_equal(model.get_layer("stem").conv.kernel, expected)
