"""What is said where no TensorFlow is installed, or one that does not fit the device."""

import importlib.util
import os
import subprocess
import sysconfig
import venv
from pathlib import Path

import absl
import pytest

import efficientnet_tf as en
from efficientnet_tf import installation
from efficientnet_tf.config import DistributionConfig, UserError
from efficientnet_tf.train import distribute


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory):
    """An environment with the package and absl, but without TensorFlow."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder / "environment", with_pip=False)
    base = folder / "environment"
    paths = sysconfig.get_paths(vars={"base": base, "platbase": base})
    for package in (Path(absl.__file__).parent, Path(en.__file__).parent):
        Path(paths["purelib"], package.name).symlink_to(package)
    return base / "bin" / "python"


COMMAND = "from efficientnet_tf.run.command_line import console; console(['x', *{}])"


def run_bare(python, code):
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return subprocess.run([python, "-c", code], capture_output=True, text=True, env=environment)


def test_without_tensorflow_the_command_names_the_three_installations(bare_python):
    result = run_bare(bare_python, COMMAND.format(["--mode=summary"]))
    assert result.returncode == 1 and len(result.stderr.splitlines()) == 1, result.stderr
    assert all(f"efficientnet-tf[{extra}]" in result.stderr for extra in ("cpu", "gpu", "tpu"))


def test_without_tensorflow_flags_and_help_work(bare_python):
    result = run_bare(bare_python, COMMAND.format(["--helpfull"]))
    assert result.returncode == 0 and "--use_tpu" in result.stdout, result.stderr
    result = run_bare(bare_python, COMMAND.format(["--epochs=3"]))
    assert result.returncode == 1 and "--train_epochs" in result.stderr


def test_without_tensorflow_an_import_names_the_three_installations(bare_python):
    result = run_bare(bare_python, "import efficientnet_tf as en; en.EfficientNetB0")
    last = result.stderr.splitlines()[-1]
    assert last.startswith("ImportError") and installation.INSTALL in last


def tpu_machine(folder, device):
    """A folder like the one in which Linux lists its PCI devices."""
    for name, vendor, identity in (("0000:00:01.0", "0x8086", "0x1237"), ("b", "0x1ae0", device)):
        (folder / name).mkdir(parents=True)
        (folder / name / "vendor").write_text(f"{vendor}\n")
        (folder / name / "device").write_text(f"{identity}\n")
    return folder


@pytest.fixture
def libtpu(monkeypatch, tmp_path):
    package = tmp_path / "packages" / "libtpu"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(package.parent)
    importlib.invalidate_caches()
    return package / "libtpu.so"


@pytest.mark.parametrize("device", ["0x0063", "0x006f"])
def test_a_tpu_v5e_and_v6e_are_driven_through_pjrt(libtpu, tmp_path, device):
    assert installation.pjrt_settings({}, tpu_machine(tmp_path / "devices", device)) == {
        "PJRT_DEVICE": "TPU",
        "NEXT_PLUGGABLE_DEVICE_USE_C_API": "true",
        "TF_PLUGGABLE_DEVICE_LIBRARY_PATH": str(libtpu),
    }


def test_the_accelerator_type_is_believed_and_what_is_set_stays(libtpu, tmp_path):
    v3 = tpu_machine(tmp_path / "devices", "0x0027")
    assert not installation.pjrt_settings({}, v3)
    environment = {"TPU_ACCELERATOR_TYPE": "v5litepod-4", "PJRT_DEVICE": "mine"}
    settings = installation.pjrt_settings(environment, v3)
    assert set(settings) == {"NEXT_PLUGGABLE_DEVICE_USE_C_API", "TF_PLUGGABLE_DEVICE_LIBRARY_PATH"}
    assert not installation.pjrt_settings({"TPU_ACCELERATOR_TYPE": "v4-8"}, v3)


def test_a_wrong_build_is_told_from_no_tpu(monkeypatch, tmp_path):
    config = DistributionConfig(strategy="tpu")
    with pytest.raises(UserError, match="no TPU answers at 'local'.*has no TPU device"):
        distribute.choose_strategy(config)
    monkeypatch.setattr(distribute, "_TPU_FILES", (str(tmp_path),))
    monkeypatch.setattr("tensorflow.config.list_physical_devices", lambda _: [])
    with pytest.raises(UserError, match=r"not the build for TPUs.*efficientnet-tf\[tpu\]"):
        distribute.choose_strategy(config)


def test_the_reason_is_the_last_line_of_the_message(monkeypatch):
    def fails(_):
        raise RuntimeError("Traceback of a sort\n  somewhere\nthe TPU is used by process 7\n")

    monkeypatch.setattr(distribute, "_check_reachable", fails)
    with pytest.raises(UserError, match=r"no TPU answers at 'x' \(the TPU is used by process 7\)"):
        distribute.choose_strategy(DistributionConfig(tpu="x"))
