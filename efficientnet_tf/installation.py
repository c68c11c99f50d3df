"""Which build of TensorFlow there is, and which one a device needs.

The builds for CPU, GPU and TPU are packages of their own with one module, `tensorflow`, so the
package asks for none of them; its extras `cpu`, `gpu` and `tpu` do.
"""

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path

from efficientnet_tf.config import UserError

INSTALL = (
    "pip install 'efficientnet-tf[cpu]', 'efficientnet-tf[gpu]' for NVIDIA GPUs, or "
    "'efficientnet-tf[tpu]' on a TPU VM"
)
# Modules that come with a build of TensorFlow.
_ITS_MODULES = ("tensorflow", "keras")

_GOOGLE = "0x1ae0"
# The PCI device of each TPU that TensorFlow drives through PJRT; v2 to v4 it drives itself.
_PJRT_DEVICES = {"0x0063": "v5e", "0x006f": "v6e"}
# The same by the start of the accelerator's type, which a container on a TPU VM is often told.
_PJRT_TYPES = ("v5lite", "v5e", "v6e")


def without_tensorflow(module: str) -> str:
    """What is the matter, and what mends it, where a module is missing."""
    return f"{module} is not installed; {INSTALL}"


def is_part_of_tensorflow(module: str | None) -> bool:
    """Whether a build of TensorFlow would bring a module that was not found."""
    return (module or "").partition(".")[0] in _ITS_MODULES


def check() -> None:
    """Raises `UserError` where no TensorFlow is installed; does not import it."""
    if importlib.util.find_spec("tensorflow") is None:
        raise UserError(without_tensorflow("TensorFlow"))


def pjrt_settings(
    environment: Mapping[str, str] = os.environ, devices: Path = Path("/sys/bus/pci/devices")
) -> dict[str, str]:
    """The environment variables with which TensorFlow finds a TPU v5e or v6e of this machine.

    TensorFlow reads them when it is imported. Empty where there is no such TPU, where `libtpu` is
    not installed, and for those variables that are set already.

    Args:
      environment: of the process; `TPU_ACCELERATOR_TYPE`, where it is set, is believed.
      devices: where the system lists its PCI devices.
    """
    library = importlib.util.find_spec("libtpu")
    if not library or not library.origin or not _needs_pjrt(environment, devices):
        return {}
    settings = {
        "PJRT_DEVICE": "TPU",
        "NEXT_PLUGGABLE_DEVICE_USE_C_API": "true",
        "TF_PLUGGABLE_DEVICE_LIBRARY_PATH": str(Path(library.origin).with_name("libtpu.so")),
    }
    return {name: value for name, value in settings.items() if name not in environment}


def _needs_pjrt(environment: Mapping[str, str], devices: Path) -> bool:
    if kind := environment.get("TPU_ACCELERATOR_TYPE"):
        return kind.startswith(_PJRT_TYPES)
    return any(
        vendor.read_text().strip() == _GOOGLE
        and vendor.with_name("device").read_text().strip() in _PJRT_DEVICES
        for vendor in devices.glob("*/vendor")
    )
