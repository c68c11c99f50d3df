"""The house rules: who may import whom, and that the package is cheap to import."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "efficientnet_tf"
FILES = sorted(PACKAGE.rglob("*.py"))

# What a room may import of the package besides itself. Files at the top are rooms of their own.
ALLOWED = {
    "config": set(),
    "csv_text": set(),
    "pace": set(),
    "installation": {"config"},
    "serializable": set(),
    "arch": {"config"},
    "nn": {"arch", "config"},
    "weights": {"arch", "config", "nn"},
    "data": {"config"},
    "train": {"config", "nn", "weights"},
    "exports": {"arch", "config", "data", "imagenet", "nn", "train"},
    "build": {"arch", "config", "nn", "weights"},
    "applications": {"arch", "build", "weights"},
    "imagenet": {"arch", "config"},
    "network_summary": {"arch", "config", "csv_text", "nn"},
    "study": {"arch", "config", "exports", "nn", "pace", "weights"},
    "run": {
        *("arch", "config", "csv_text", "data", "exports", "imagenet", "installation", "nn"),
        *("pace", "study", "train", "weights"),
    },
    "__init__": {"arch", "installation", "serializable"},
}
# Third-party modules that only some rooms may touch.
RESERVED = {
    "absl": {"run/command_line.py", "run/flags.py"},
    "matplotlib": {"study/drawing.py"},
    "keras_cv": {"data/augment/mixing.py"},
    "tensorflow": {
        *("nn/cpu_gradients.py", "nn/tensorflow_ops.py", "study/probe.py"),
        *("data", "exports", "run", "train", "weights"),
    },
}


def room(path):
    relative = path.relative_to(PACKAGE)
    return relative.parts[0].removesuffix(".py")


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down_only(path):
    mine = room(path)
    assert mine in ALLOWED, f"give {mine} its place in ALLOWED"
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "efficientnet_tf":
            if len(parts) > 1 and parts[1] != mine:
                assert parts[1] in ALLOWED[mine], f"{mine} imports {name}"
        elif parts[0] in RESERVED:
            places = {mine, str(path.relative_to(PACKAGE))}
            assert places & RESERVED[parts[0]], f"{path.name} imports {parts[0]}"


def test_every_permission_is_used():
    used = {mine: set() for mine in ALLOWED}
    for path in FILES:
        names = (name.split(".") for name in imports(path))
        used[room(path)] |= {
            parts[1] for parts in names if parts[0] == "efficientnet_tf" and parts[1:]
        }
    for mine, allowed in ALLOWED.items():
        assert not allowed - used[mine], f"{mine} may import what it does not"


def test_importing_the_package_loads_neither_keras_nor_tensorflow():
    code = (
        "import sys, efficientnet_tf.run.flags as f; f.define_flags(); "
        "print({'tensorflow', 'keras'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout.strip() == "set()", result.stderr
