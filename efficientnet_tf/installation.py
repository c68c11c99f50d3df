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
_PCI_DEVICES = {
    "0x0027": "v3",  # and v2
    "0x005e": "v4",
    "0x0062": "v5p",
    "0x0063": "v5e",
    "0x006f": "v6e",
}
# Those that TensorFlow drives through PJRT; v2 to v4 it drives itself.
_PJRT_KINDS = ("v5e", "v6e")


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


def tpu_kind(
    environment: Mapping[str, str] = os.environ, devices: Path = Path("/sys/bus/pci/devices")
) -> str | None:
    """Which TPU this machine has, as `v3` or `v5e`; None for none, or one that is not known.

    Args:
      environment: of the process; `TPU_ACCELERATOR_TYPE`, which a container on a TPU VM is often
        told, is believed where it is set.
      devices: where the system lists its PCI devices.
    """
    if kind := environment.get("TPU_ACCELERATOR_TYPE"):
        return "v5e" if kind.startswith("v5lite") else kind.partition("-")[0]
    for vendor in devices.glob("*/vendor"):
        if vendor.read_text().strip() == _GOOGLE:
            kind = _PCI_DEVICES.get(vendor.with_name("device").read_text().strip())
            if kind:
                return kind
    return None


def pjrt_settings(
    environment: Mapping[str, str] = os.environ, devices: Path = Path("/sys/bus/pci/devices")
) -> dict[str, str]:
    """The environment variables with which TensorFlow finds a TPU v5e or v6e of this machine.

    TensorFlow reads them when it is imported. Empty where there is no such TPU, where `libtpu` is
    not installed, and for those variables that are set already.

    Args:
      environment, devices: see `tpu_kind`.
    """
    library = importlib.util.find_spec("libtpu")
    if not library or not library.origin or tpu_kind(environment, devices) not in _PJRT_KINDS:
        return {}
    settings = {
        "PJRT_DEVICE": "TPU",
        "NEXT_PLUGGABLE_DEVICE_USE_C_API": "true",
        "TF_PLUGGABLE_DEVICE_LIBRARY_PATH": str(Path(library.origin).with_name("libtpu.so")),
    }
    return {name: value for name, value in settings.items() if name not in environment}
