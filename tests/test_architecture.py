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
    "registration": {"nn"},
    "arch": {"config"},
    "nn": {"config", "arch"},
    "weights": {"config", "arch", "nn", "progress"},
    "data": {"config", "progress"},
    "progress": set(),
    "picture": set(),
    "train": {"config", "arch", "nn", "progress", "weights"},
    "evaluate": {"progress"},
    "run_folder": {"config", "weights"},
    "build": {"config", "arch", "nn", "weights"},
    "applications": {"arch", "build", "weights"},
    "imagenet": {"config", "arch"},
    "flag_table": set(),
    "flags": {"config", "arch", "flag_table"},
    "initial_weights": {"config", "run_folder", "train", "weights"},
    "predict": {
        *("config data evaluate imagenet initial_weights nn progress run_folder train".split()),  # noqa: SIM905
    },
    "session": {
        *("config data evaluate initial_weights nn picture run_folder train".split()),  # noqa: SIM905
    },
    "run": {
        *("config arch data evaluate initial_weights nn picture".split()),  # noqa: SIM905
        *("predict run_folder session train weights".split()),  # noqa: SIM905
    },
    "command_line": {"flags", "config", "run"},
    "__init__": {"registration"},
}
# Third-party modules that only some rooms may touch.
RESERVED = {
    "absl": {"flag_table", "flags", "command_line"},
    "keras_cv": {"data/mixing.py"},
    "tensorflow": {"nn/tensorflow_ops.py"}
    | {
        "weights",
        "data",
        "train",
        "evaluate",
        "predict",
        "session",
        "run",
        "run_folder",
        "command_line",
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


def test_importing_the_package_loads_neither_keras_nor_tensorflow():
    code = (
        "import sys, efficientnet_tf.flags as f; f.define_flags(); "
        "print({'tensorflow', 'keras'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.stdout.strip() == "set()", result.stderr
