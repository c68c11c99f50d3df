"""Classes that Keras saves: all of them listed, and loaded in a process that knows the package."""

import ast
import subprocess
import sys
from pathlib import Path

import keras
import pytest

import efficientnet_tf as en
from efficientnet_tf import serializable

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "efficientnet_tf"
ROOMS = {module.split(".")[0] for module in serializable.CLASSES.values()}


def registered_classes():
    """`{class: module}` of every class in the sources that a decorator registers with Keras."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and any(
                "register" in ast.unparse(decorator) for decorator in node.decorator_list
            ):
                assert node.name not in found, f"{node.name} is registered twice"
                found[node.name] = module
    return found


def test_every_registered_class_has_its_row():
    assert len(registered_classes()) >= 20
    assert registered_classes() == serializable.CLASSES


@pytest.mark.parametrize("name", serializable.CLASSES)
def test_keras_knows_every_class_under_its_name(name):
    found = keras.saving.get_registered_object(f"efficientnet_tf>{name}")
    assert found.__name__ == name
    assert found.__module__ == f"efficientnet_tf.{serializable.CLASSES[name]}"


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_rooms_of_registered_classes_load_keras_first(room):
    body = ast.parse((PACKAGE / room / "__init__.py").read_text()).body
    first = next(node for node in body if isinstance(node, ast.Import | ast.ImportFrom))
    assert ast.unparse(first) == "import keras"


def test_other_backends_do_not_get_what_needs_tensorflow():
    everything = set(serializable.CLASSES.values())
    assert set(serializable.modules_to_register("tensorflow")) == everything
    others = serializable.modules_to_register("jax")
    assert others and set(others) < everything
    for module in others:
        assert "tensorflow" not in imported_by(f"efficientnet_tf.{module}"), module


def imported_by(module, seen=None):
    """All modules that importing `module` imports, as far as the sources of the package tell.

    `nn/layers.py` imports TensorFlow inside of functions, which run on that backend only.
    """
    seen = set() if seen is None else seen
    if module in seen:
        return seen
    seen.add(module)
    package, _, _ = module.rpartition(".")
    if package:
        imported_by(package, seen)
    path = ROOT / module.replace(".", "/")
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    if not path.is_file():  # another library, or a name in a module
        return seen
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            imported_by(name, seen)
    return seen


def trained_model():
    """A network with augmentation inside, an optimizer with a schedule, and their state."""
    network = en.build_model(
        "efficientnet-b0",
        num_classes=3,
        width_coefficient=0.25,
        depth_coefficient=0.1,
        input_shape=(32, 32, 3),
    )
    policies = (en.data.AutoAugment(), en.data.RandAugment(2, 5))
    layers = [en.data.Augmentation(policy, seed=1) for policy in policies]
    model = keras.Sequential([keras.Input((32, 32, 3)), *layers, network])
    rate = en.train.Warmup(0.01, 10, en.train.Constant(0.01))
    model.compile(en.train.RMSprop(rate), "sparse_categorical_crossentropy")
    model.optimizer.build(model.trainable_variables)
    model.optimizer.iterations.assign(7)
    return model


SAVE = """
import numpy as np
from test_serializable import trained_model
model = trained_model()
images = np.arange(2 * 32 * 32 * 3, dtype="float32").reshape(2, 32, 32, 3) % 256
model.save("model.keras")
np.savez("case.npz", images=images, outputs=model(images, training=False))
"""
# Only the package itself is imported before Keras is asked.
LOAD = """
import efficientnet_tf
import keras
import numpy as np
model, case = keras.models.load_model("model.keras"), np.load("case.npz")
np.testing.assert_array_equal(model(case["images"], training=False), case["outputs"])
assert int(model.optimizer.iterations) == 7
rate = model.optimizer.get_config()["learning_rate"]
print([type(layer).__name__ for layer in model.layers], [l.policy.__class__.__name__ for l in
    model.layers[:2]], type(model.optimizer).__name__, rate["class_name"])
"""
# A room's module is the first to load Keras.
FIRST = """
import efficientnet_tf.nn.layers
import keras
from efficientnet_tf.serializable import CLASSES
print(all(keras.saving.get_registered_object(f"efficientnet_tf>{name}") for name in CLASSES))
"""


def python(code, folder):
    path = f"sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'tests')!r}]"
    command = [sys.executable, "-c", f"import sys; {path}\n{code}"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.mark.slow
def test_a_model_with_every_kind_of_object_loads_in_a_fresh_process(tmp_path):
    python(SAVE, tmp_path)
    assert python(LOAD, tmp_path) == (
        "['Augmentation', 'Augmentation', 'Functional'] ['AutoAugment', 'RandAugment'] "
        "RMSprop Warmup"
    )


@pytest.mark.slow
def test_any_module_may_be_the_first_that_loads_keras(tmp_path):
    assert python(FIRST, tmp_path) == "True"
