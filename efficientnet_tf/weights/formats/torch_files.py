"""Files of PyTorch's networks: `.safetensors`, and `.pth` without running what is pickled in it."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from efficientnet_tf.config import ModelConfig, UserError
from efficientnet_tf.weights.description import KEY, Description
from efficientnet_tf.weights.formats.torch_state import from_torch, library_of
from efficientnet_tf.weights.naming import checkpoint_variables
from efficientnet_tf.weights.opened import OpenedWeights

_log = logging.getLogger(__name__)

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
# Where training scripts keep the weights inside of what they save; averages first.
_AVERAGES, _RAW = ("state_dict_ema", "model_ema"), ("state_dict", "model")
_WRAPPERS = ("module.", "_orig_mod.", "model.")
_IMAGENET = {"mean_rgb": ModelConfig.mean_rgb, "stddev_rgb": ModelConfig.stddev_rgb}
_CENTRED = {"mean_rgb": (127.5,) * 3, "stddev_rgb": (127.5,) * 3}


def open_torch(path: Path, ema: bool = True) -> OpenedWeights:
    """A file of timm's or torchvision's EfficientNets.

    A file that `write_safetensors` wrote says what its network is. For others a `config.json`
    beside it, as on model hubs, or else the file's name tells timm's `tf_*` networks from those
    with PyTorch's padding and epsilon.
    """
    state, description = _read(path, ema), _description(path)
    library = library_of(state)
    if library is None:
        raise UserError(f"{path}: not an EfficientNet of timm or torchvision, by its names")
    biases = [state[n] for n in ("classifier.bias", "classifier.1.bias") if n in state]

    def read(model):
        shapes = {n: tuple(v.shape) for n, v in checkpoint_variables(model).items()}
        return from_torch(state, shapes)

    classes = biases[0].shape[0] if biases else None
    if description:
        return OpenedWeights.described(str(path), read, classes, description)
    needs = _timm_settings(path) if library == "timm" else _torchvision_settings(state)
    return OpenedWeights(str(path), read, classes, needs)


def write_safetensors(
    state: Mapping[str, np.ndarray], path: Path, description: Description | None = None
) -> None:
    """Writes a state dictionary, as `torch_state.to_torch` makes it.

    Args:
      description: kept in the metadata of the file, where timm and torchvision ignore it. Without
        one the file is as PyTorch's libraries write theirs.
    """
    # The format keeps bytes as they lie: a transposed view would be written in its old order.
    contiguous = {name: np.ascontiguousarray(value) for name, value in state.items()}
    metadata = {"format": "pt"} | ({KEY: description.to_json()} if description else {})
    _safetensors().numpy.save_file(contiguous, path, metadata)


def _description(path: Path) -> Description | None:
    if path.suffix != ".safetensors":
        return None
    with _safetensors().safe_open(path, framework="numpy") as file:
        text = (file.metadata() or {}).get(KEY)
    return Description.from_json(text, f"{path}: {KEY}") if text else None


def _read(path: Path, ema: bool) -> dict[str, np.ndarray]:
    if path.suffix == ".safetensors":
        try:
            state = _safetensors().numpy.load_file(path)
        except UserError:
            raise
        except Exception as error:  # the package has error types of its own, in Rust
            raise UserError(f"{path}: not a readable .safetensors file ({error})") from None
    else:
        state = _unpickled(path, ema)
    for wrapper in _WRAPPERS:
        if all(name.startswith(wrapper) for name in state):
            state = {name.removeprefix(wrapper): value for name, value in state.items()}
    return state


def _safetensors():
    try:
        import safetensors
        import safetensors.numpy
    except ImportError:
        raise UserError("reading .safetensors needs: pip install safetensors") from None
    return safetensors


def _unpickled(path: Path, ema: bool) -> dict[str, np.ndarray]:
    """The tensors of a `.pth`, whose pickle may build tensors and containers and nothing else."""
    try:
        import torch
    except ImportError:
        raise UserError(
            f"reading {path.suffix} needs PyTorch: pip install torch; or save it as .safetensors"
        ) from None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).split("\n")[0]
        raise UserError(
            f"{path}: torch.load(weights_only=True) refuses it ({reason}); save the bare "
            "state_dict, best as .safetensors"
        ) from None
    for key in (*_AVERAGES, *_RAW) if ema else _RAW:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
            break
    if not isinstance(content, dict) or not all(torch.is_tensor(v) for v in content.values()):
        raise UserError(f"{path}: no state_dict in it")
    return {name: value.float().numpy() for name, value in content.items()}


def _timm_settings(path: Path) -> dict[str, object]:
    """Padding, epsilon and normalisation as far as the surroundings of a file tell them."""
    description = path.with_name("config.json")
    try:
        config = json.loads(description.read_text()) if description.is_file() else {}
    except ValueError as error:
        raise UserError(f"{description}: not JSON ({error})") from None
    name = config.get("architecture", path.stem)
    if "efficientnet" not in name:
        _log.warning(
            "%s: cannot tell whether this is one of timm's tf_* networks; taking it for one "
            "(its name or a config.json beside it would tell)",
            path,
        )
        return {}
    settings = {"padding": "symmetric", "batch_norm_epsilon": 1e-5}
    if name.startswith("tf_"):
        settings = {"padding": "same", "batch_norm_epsilon": 1e-3}
    trained = config.get("pretrained_cfg", {})
    if "mean" in trained and "std" in trained:
        settings["mean_rgb"] = tuple(255.0 * v for v in trained["mean"])
        settings["stddev_rgb"] = tuple(255.0 * v for v in trained["std"])
    return settings


def _torchvision_settings(state: Mapping[str, np.ndarray]) -> dict[str, object]:
    """What torchvision's code gives the variant whose widths these are.

    B5-B7 and V2 have TensorFlow's epsilon, B0-B4 PyTorch's; V2-L alone was trained on -1..1.
    """
    stem, first = state["features.0.0.weight"], state["features.1.0.block.0.0.weight"]
    v2 = first.shape[1] > 1  # not depthwise
    head = max(v.shape[0] for n, v in state.items() if n.startswith("features.") and v.ndim == 4)
    epsilon = 1e-3 if v2 or head >= 2048 else 1e-5
    normalisation = _CENTRED if v2 and stem.shape[0] == 32 else _IMAGENET
    return {"padding": "symmetric", "batch_norm_epsilon": epsilon, **normalisation}
