"""The public names: the runtime's table and the stub that editors read say the same."""

import ast
import inspect
import subprocess
import sys
import types
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import keras
import pytest

import efficientnet_tf as en
from efficientnet_tf import applications, build
from efficientnet_tf.arch.constructor_names import CONSTRUCTOR_NAMES
from efficientnet_tf.arch.variants import VARIANTS
from efficientnet_tf.config import ModelConfig

ROOT = Path(__file__).parents[1]
STUB = ast.parse((ROOT / "efficientnet_tf" / "__init__.pyi").read_text())
FUNCTIONS = {node.name: node for node in STUB.body if isinstance(node, ast.FunctionDef)}
CLASSES = {node.name: node for node in STUB.body if isinstance(node, ast.ClassDef)}
RE_EXPORTED = {
    alias.asname: f"{node.module}.{alias.name}"
    for node in STUB.body
    if isinstance(node, ast.ImportFrom)
    for alias in node.names
    if alias.asname
}
ANNOTATED = {n.target.id: n.annotation.id for n in STUB.body if isinstance(n, ast.AnnAssign)}
TYPES = {
    "Any": Any,
    "Mapping": Mapping,
    "ModelConfig": ModelConfig,
    "Path": Path,
    "Sequence": Sequence,
    "keras": keras,
}


def test_the_stub_has_every_public_name_and_no_other():
    stub = {*FUNCTIONS, *RE_EXPORTED, *ANNOTATED} - {"__version__"}
    assert stub == set(en.__all__)


def test_every_public_name_is_listed_and_loads():
    assert set(en.__all__) <= set(dir(en))
    assert {f"EfficientNet{name}" for name in ("B0", "L2", "XTPUB3", "V2XL")} <= set(dir(en))
    assert len(CONSTRUCTOR_NAMES) == len(VARIANTS)
    for name in en.__all__:
        assert getattr(en, name) is getattr(en, name) is not None
    assert isinstance(en.data, types.ModuleType) and isinstance(en.train, types.ModuleType)


@pytest.mark.parametrize("name", RE_EXPORTED)
def test_what_the_stub_exports_is_what_the_package_has(name):
    module, _, attribute = RE_EXPORTED[name].rpartition(".")
    assert getattr(en, name) is inspect.getattr_static(sys.modules[module], attribute)


def signature_of_stub(function):
    """The parameters of a function in the stub, without `self`, and its return type."""
    arguments = ast.unparse(function.args)
    # Which keywords `**overrides` takes is another test's matter.
    source = f"def stub({arguments}) -> {ast.unparse(function.returns)}: ..."
    namespace = {**TYPES, "Unpack": {None: None}, **dict.fromkeys(CLASSES)}
    exec(source, namespace)
    signature = inspect.signature(namespace["stub"])
    parameters = [p for p in signature.parameters.values() if p.name != "self"]
    return parameters, signature.return_annotation


def assert_same_signature(stub, runtime):
    ours, returns = signature_of_stub(stub)
    # Some modules name Keras in annotations and do not load it.
    signature = inspect.signature(runtime, eval_str=True, locals=TYPES)
    theirs = list(signature.parameters.values())
    assert [(p.name, p.kind) for p in ours] == [(p.name, p.kind) for p in theirs]
    assert returns == signature.return_annotation
    for our, their in zip(ours, theirs, strict=True):
        if our.kind is not inspect.Parameter.VAR_KEYWORD:
            assert our.annotation == their.annotation, our
        if our.default is not ...:
            assert our.default == their.default, our


@pytest.mark.parametrize("name", FUNCTIONS)
def test_signatures_of_functions(name):
    assert_same_signature(FUNCTIONS[name], getattr(en, name))


def protocol_of(name):
    (call,) = [n for n in CLASSES[ANNOTATED[name]].body if isinstance(n, ast.FunctionDef)]
    return call


@pytest.mark.parametrize("name", CONSTRUCTOR_NAMES)
def test_signatures_of_constructors(name):
    assert getattr(en, name) is applications.CONSTRUCTORS[name]
    assert_same_signature(protocol_of(name), getattr(en, name))


def keys(name):
    """The keys of a `TypedDict` of the stub, inherited ones included."""
    own = {n.target.id for n in CLASSES[name].body if isinstance(n, ast.AnnAssign)}
    return own.union(*(keys(base.id) for base in CLASSES[name].bases if base.id in CLASSES))


def test_keyword_arguments_that_the_stub_names():
    config = {field.name for field in fields(ModelConfig)} - {"name"}
    options = set(build._NETWORK_OPTIONS)
    own = set(inspect.signature(build.build_model).parameters) - {"model_name", "overrides"}
    assert keys("_ConfigOverrides") == config
    assert keys("_BuildOverrides") == (config - {"num_classes"}) | options
    assert keys("_BuildArguments") == keys("_BuildOverrides") | own


def test_unknown_names_are_attribute_errors_of_the_package():
    with pytest.raises(AttributeError, match="module 'efficientnet_tf' has no .*EfficientNetB9"):
        en.EfficientNetB9  # noqa: B018


def test_listing_the_names_loads_nothing():
    code = (
        "import sys, efficientnet_tf as en; "
        "print('EfficientNetB0' in dir(en), 'keras' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout.split() == ["True", "False"], result.stderr
