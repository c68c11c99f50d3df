"""Files of PyTorch's networks: `.safetensors`, and `.pth` without running what is pickled in it."""

import contextlib
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from efficientnet_tf.config import ModelConfig, UserError
from efficientnet_tf.weights.description import KEY, Description, parsed
from efficientnet_tf.weights.formats.torch_state import from_torch, library_of
from efficientnet_tf.weights.naming import checkpoint_variables
from efficientnet_tf.weights.opened import OpenedWeights
from efficientnet_tf.weights.size_limit import check_size

_log = logging.getLogger(__name__)

State = dict[str, np.ndarray]

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
# Where training scripts keep the weights inside of what they save; averages first.
_AVERAGES, _RAW = ("state_dict_ema", "model_ema"), ("state_dict", "model")
_WRAPPERS = ("module.", "_orig_mod.", "model.")
_MAX_CONFIG = 1 << 20  # bytes; timm's have a thousand
_IMAGENET = {"mean_rgb": ModelConfig.mean_rgb, "stddev_rgb": ModelConfig.stddev_rgb}
_CENTRED = {"mean_rgb": (127.5,) * 3, "stddev_rgb": (127.5,) * 3}


def open_torch(path: Path, ema: bool = True) -> OpenedWeights:
    """A file of timm's or torchvision's EfficientNets.

    A file that `write_safetensors` wrote says what its network is. For others a `config.json`
    beside it, as on model hubs, or else the file's name tells timm's `tf_*` networks from those
    with PyTorch's padding and epsilon.
    """
    state, load, description = _opened(path, ema)
    library = library_of(state)
    if library is None:
        raise UserError(f"{path}: not an EfficientNet of timm or torchvision, by its names")
    biases = [state[n] for n in ("classifier.bias", "classifier.1.bias") if n in state]

    def read(model):
        check_size(model, sum(value.nbytes for value in state.values()), str(path))
        shapes = {n: tuple(v.shape) for n, v in checkpoint_variables(model).items()}
        return from_torch(load(), shapes)

    classes = biases[0].shape[0] if biases else None
    if description:
        return OpenedWeights.described(str(path), read, classes, description)
    needs = _timm_settings(path) if library == "timm" else _torchvision_settings(path, state)
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


def _opened(path: Path, ema: bool) -> tuple[State, Callable[[], State], Description | None]:
    """The state dictionary in its shapes, the function that reads it, and its description."""
    if path.suffix != ".safetensors":
        state = _unwrapped(_unpickled(path, ema))
        return state, lambda: state, None
    safetensors = _safetensors()
    with _naming(path), safetensors.safe_open(path, framework="numpy") as file:
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
        outline = {
            name: np.broadcast_to(np.float32(0), part.get_shape()) for name, part in slices.items()
        }
        text = (file.metadata() or {}).get(KEY)

    def load():
        with _naming(path):
            return _unwrapped(safetensors.numpy.load_file(path))

    description = Description.from_json(text, f"{path}: {KEY}") if text else None
    return _unwrapped(outline), load, description


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Inside, what the package in Rust raises, of types of its own, is a `UserError`."""
    try:
        yield
    except Exception as error:
        reason = str(error).split("\n")[0][:200]
        raise UserError(f"{path}: not a readable .safetensors file ({reason})") from None


def _unwrapped(state: State) -> State:
    """Without the names that training scripts put around a network."""
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
    config = _timm_config(path.with_name("config.json"))
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


def _timm_config(path: Path) -> dict:
    """timm's `config.json`, as far as it is used; {} where there is none."""
    if not path.is_file():
        return {}
    config = parsed(path.read_bytes(), str(path)) if path.stat().st_size < _MAX_CONFIG else None
    if not isinstance(config, dict) or not isinstance(config.get("architecture", ""), str):
        raise UserError(f"{path} is damaged: not a configuration of timm")
    trained = config.get("pretrained_cfg", {})
    if not isinstance(trained, dict):
        raise UserError(f"{path} is damaged: its pretrained_cfg is no object")
    for key in {"mean", "std"} & trained.keys():
        if not _are_three_numbers(trained[key]) or (key == "std" and min(trained[key]) <= 0):
            raise UserError(f"{path} is damaged: its {key} is not three numbers of colours")
    return config


def _are_three_numbers(values: object) -> bool:
    return (
        isinstance(values, list)
        and len(values) == 3
        and all(isinstance(value, int | float) and math.isfinite(value) for value in values)
    )


def _torchvision_settings(path: Path, state: Mapping[str, np.ndarray]) -> dict[str, object]:
    """What torchvision's code gives the variant whose widths these are.

    B5-B7 and V2 have TensorFlow's epsilon, B0-B4 PyTorch's; V2-L alone was trained on -1..1.
    """
    stem, first = (state.get(f"features.{name}.weight") for name in ("0.0", "1.0.block.0.0"))
    if np.ndim(stem) != 4 or np.ndim(first) != 4:
        raise UserError(f"{path}: its first convolutions are not those of an EfficientNet")
    v2 = first.shape[1] > 1  # not depthwise
    head = max(v.shape[0] for n, v in state.items() if n.startswith("features.") and v.ndim == 4)
    epsilon = 1e-3 if v2 or head >= 2048 else 1e-5
    normalisation = _CENTRED if v2 and stem.shape[0] == 32 else _IMAGENET
    return {"padding": "symmetric", "batch_norm_epsilon": epsilon, **normalisation}
