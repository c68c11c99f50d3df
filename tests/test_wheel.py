"""The package as `pip install` leaves it: a wheel in an environment of its own."""

import importlib.util
import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

import efficientnet_tf

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]

RIGHT = """
import efficientnet_tf as en
model = en.EfficientNetB0(weights=None)
model = en.build_model("efficientnet-b0", num_classes=3, survival_prob=None, pooling="avg")
model.summary()
en.feature_extractor(model, ["reduction_3"])
en.feature_extractor("efficientnet-b0", ["reduction_3"], weights=None)
policy = en.data.AutoAugment()
layer = en.data.Augmentation(policy, seed=1)
optimizer = en.train.RMSprop(1e-3)
table: str = en.summary("efficientnet-b0", dropout_rate=0.1)
version: str = en.__version__
"""
# Each line is one error.
WRONG = """
import efficientnet_tf as en
en.EfficientNetB0(weigths=None)
en.EfficientNetB9()
en.build_model("efficientnet-b0", dropout=0.1)
en.feature_extractor("efficientnet-b0", ["reduction_3"], wieghts=None)
en.summary("efficientnet-b0", survival_prob="high")
en.data.AutoAugment(polcy="v0")
en.train.RMSProp(1e-3)
"""
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")
# Extra -> the package that it brings, and the start of its version.
BUILDS = {
    "cpu": ("tensorflow-cpu", "2."),
    "gpu": ("tensorflow", "2."),
    "tpu": ("tensorflow-tpu", "2.20."),
}


def run(*command, **kwargs):
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", **kwargs.pop("env", {})}
    environment.pop("PYTHONPATH", None)
    command = [str(word) for word in command]
    return subprocess.run(command, capture_output=True, text=True, env=environment, **kwargs)


def build(folder, **environment):
    options = ("--no-deps", "--no-build-isolation", "--wheel-dir", folder)
    result = run(sys.executable, "-m", "pip", "wheel", *options, ROOT, env=environment)
    assert result.returncode == 0, result.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """A virtual environment with the wheel, and with the dependencies installed here."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    paths = sysconfig.get_paths(vars={"base": folder, "platbase": folder})
    here = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    Path(paths["purelib"], "dependencies.pth").write_text("\n".join(here))
    pip = (sys.executable, "-m", "pip", "--python", folder / "bin" / "python")
    result = run(*pip, "install", "--no-deps", "--force-reinstall", wheel)
    assert result.returncode == 0, result.stderr
    return folder / "bin"


def test_what_a_wheel_has(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    inside = ("py.typed", "__init__.pyi", "data/imagenet_labels.json", "docs/weights.md")
    assert {f"efficientnet_tf/{name}" for name in inside} <= names
    recipes = {f"efficientnet_tf/flags/{path.name}" for path in (ROOT / "flags").glob("*.flags")}
    assert recipes == {name for name in names if name.startswith("efficientnet_tf/flags/")}
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "efficientnet_tf").rglob("*.py")}
    assert modules == {name for name in names if name.endswith(".py")}  # and no tests
    assert wheel.name.startswith(f"efficientnet_tf-{efficientnet_tf.__version__}-")


def test_links_of_its_page_lead_somewhere(wheel, tmp_path):
    relative = re.compile(r"\]\((?!https?://)")
    assert not relative.search(description(wheel))
    published = build(tmp_path, EFFICIENTNET_TF_REPOSITORY="https://example.org/some/where")
    assert not relative.search(description(published))
    assert "](https://example.org/some/where/raw/main/docs/" in description(published)
    assert "](https://example.org/some/where/blob/main/docs/weights.md)" in description(published)
    assert "Project-URL: Source, https://example.org/some/where" in description(published)


def description(wheel):
    archive = zipfile.ZipFile(wheel)
    (metadata,) = [name for name in archive.namelist() if name.endswith("/METADATA")]
    return archive.read(metadata).decode()


def test_the_installed_command_trains_a_recipe_from_any_folder(environment, tmp_path):
    result = run(
        environment / "efficientnet-tf",
        "--flagfile=quickstart",
        "--train_steps=2",
        "--steps_per_eval=2",
        "--iterations_per_loop=2",
        "--width_coefficient=0.25",
        "--depth_coefficient=0.1",
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout.splitlines()[-1])["step"] == 2
    assert (tmp_path / "runs" / "quickstart" / "eval.jsonl").is_file()


def test_the_installed_package_is_the_one_that_runs(environment, tmp_path):
    code = (
        "import efficientnet_tf as en, efficientnet_tf.imagenet as imagenet; "
        "print(en.__version__, en.__file__, imagenet.imagenet_labels()[0])"
    )
    result = run(environment / "python", "-c", code, cwd=tmp_path)
    version, file, label = result.stdout.split(" ", 2)
    assert version == efficientnet_tf.__version__ and "tench" in label
    assert Path(file).is_relative_to(environment.parent)


@pytest.fixture(scope="module")
def resolved(wheel, tmp_path_factory):
    """What pip would install for each extra: versions by name. Skips where it reaches no index."""
    if run(*PIP, "index", "versions", "tensorflow-tpu").returncode:
        pytest.skip("pip reaches no index that has tensorflow-tpu")
    folder = tmp_path_factory.mktemp("reports")
    options = ("--quiet", "--dry-run", "--ignore-installed")
    processes = [
        subprocess.Popen(
            [*PIP, "install", *options, f"--report={folder / extra}", f"{wheel}[{extra}]"]
        )
        for extra in BUILDS
    ]
    assert [process.wait() for process in processes] == [0] * len(BUILDS)
    return {extra: versions(folder / extra) for extra in BUILDS}


def versions(report):
    packages = [package["metadata"] for package in json.loads(report.read_text())["install"]]
    return {p["name"].replace("_", "-").lower(): p["version"] for p in packages}


@pytest.mark.parametrize("extra", BUILDS)
def test_an_extra_brings_one_build(resolved, extra):
    found = resolved[extra]
    builds = {"tensorflow", "tensorflow-cpu", "tensorflow-tpu"} & set(found)
    build, version = BUILDS[extra]
    assert builds == {build} and found[build].startswith(version)
    assert found.get("libtpu", "0.0.17") < "0.0.22" and ("libtpu" in found) == (extra == "tpu")
    assert any(name.startswith("nvidia-cudnn") for name in found) == (extra == "gpu")


@pytest.mark.skipif(not importlib.util.find_spec("pyright"), reason="pyright is not installed")
def test_a_type_checker_knows_the_public_names(environment, tmp_path):
    (tmp_path / "right.py").write_text(RIGHT)
    (tmp_path / "wrong.py").write_text(WRONG)
    checker = (sys.executable, "-m", "pyright", "--pythonpath", environment / "python")
    result = run(*checker, "--outputjson", "right.py", "wrong.py", cwd=tmp_path)
    found = json.loads(result.stdout)["generalDiagnostics"]
    errors = [(Path(e["file"]).name, e["range"]["start"]["line"]) for e in found]
    lines = range(2, len(WRONG.splitlines()))  # after the first, which is empty, and the import
    assert errors == [("wrong.py", line) for line in lines], found
