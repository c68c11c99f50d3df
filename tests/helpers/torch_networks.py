"""What PyTorch's networks are and compute, for the tests of their weights.

Run with a Python that has torch, timm and torchvision (`python tests/torch_networks.py`), this
writes `data/torch_networks.json`: names and shapes of every variant that we read, as a digest, and
the first logits of some with weights that NumPy makes again anywhere from the names alone.
"""

import hashlib
import json
import zlib
from pathlib import Path

import numpy as np

RECORD = Path(__file__).parents[1] / "data" / "torch_networks.json"
SIDE = 72  # 36, 18, 9, 5, 3: strides meet even and odd sizes
LOGITS = 40

TIMM = {
    name: ours
    for timm_name, ours in {
        **{f"efficientnet_b{i}": f"efficientnet-b{i}" for i in range(9)},
        **{f"efficientnet_lite{i}": f"efficientnet-lite{i}" for i in range(5)},
        "efficientnet_l2": "efficientnet-l2",
        "efficientnet_es": "efficientnet-edgetpu-S",
        "efficientnet_em": "efficientnet-edgetpu-M",
        "efficientnet_el": "efficientnet-edgetpu-L",
        "efficientnet_cc_b0_4e": "efficientnet-condconv-b0-4e",
        "efficientnet_cc_b0_8e": "efficientnet-condconv-b0-8e",
        "efficientnet_cc_b1_8e": "efficientnet-condconv-b0-8e-depth",
        **{f"efficientnetv2_{s}": f"efficientnetv2-{s}" for s in ("s", "m", "l", "xl")},
    }.items()
    for name in (timm_name, f"tf_{timm_name}")
} | {f"tf_efficientnetv2_b{i}": f"efficientnetv2-b{i}" for i in range(4)}
TORCHVISION = {f"efficientnet_b{i}": f"efficientnet-b{i}" for i in range(8)} | {
    f"efficientnet_v2_{s}": f"efficientnetv2-{s}" for s in "sml"
}
OURS = {"timm": TIMM, "torchvision": TORCHVISION}
# Networks whose logits are recorded, every kind of block, both paddings, both epsilons; and what
# their kernels are multiplied with so that the image still shows in the logits (with 1 two images
# differ there by 1e-6) and rounding errors do not (from 1.5 on some networks are chaotic).
COMPUTED = {
    ("timm", "tf_efficientnet_b0"): 1.45,
    ("timm", "efficientnet_es"): 1.0,
    ("timm", "tf_efficientnet_cc_b0_4e"): 1.35,
    ("timm", "tf_efficientnetv2_b0"): 1.2,
    ("torchvision", "efficientnet_b0"): 1.45,
    ("torchvision", "efficientnet_v2_s"): 1.1,
}


def images() -> np.ndarray:
    """Normalised input [2, SIDE, SIDE, 3]."""
    return np.random.RandomState(0).normal(size=(2, SIDE, SIDE, 3)).astype("float32")


def weights(shapes: dict[str, tuple], gain: float) -> dict[str, np.ndarray]:
    """A state dictionary that depends on nothing but names and shapes."""
    return {name: _array(name, shape, gain) for name, shape in shapes.items()}


def _array(name: str, shape: tuple, gain: float) -> np.ndarray:
    random = np.random.RandomState(zlib.crc32(name.encode()))
    if name.endswith("running_var") or (name.endswith("weight") and len(shape) == 1):
        return random.uniform(0.5, 1.5, shape).astype("float32")
    if len(shape) == 1:
        return random.normal(0, 0.1, shape).astype("float32")
    experts = ".conv_" in name and len(shape) == 2
    deviation = 0.1 if experts else np.prod(shape[1:]) ** -0.5
    return random.normal(0, gain * deviation, shape).astype("float32")


def digest(shapes: dict[str, tuple]) -> str:
    """SHA-256 over all names and shapes."""
    lines = sorted(f"{name} {list(shape)}" for name, shape in shapes.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def torch_model(library: str, name: str):
    """One of PyTorch's networks."""
    if library == "timm":
        import timm

        return timm.create_model(name)
    import torchvision

    return getattr(torchvision.models, name)()


def state_shapes(model) -> dict[str, tuple]:
    """Names and shapes of what `model` would save, counters of batches aside."""
    state = model.state_dict().items()
    return {n: tuple(v.shape) for n, v in state if not n.endswith("num_batches_tracked")}


def torch_logits(model, state: dict[str, np.ndarray]) -> np.ndarray:
    """The logits of `images()`, [2, 1000], with the weights `state`."""
    import torch

    tensors = {name: torch.tensor(value) for name, value in state.items()}
    missing = model.load_state_dict(tensors, strict=False).missing_keys
    assert all(name.endswith("num_batches_tracked") for name in missing)
    with torch.no_grad():
        return model.eval()(torch.tensor(images().transpose(0, 3, 1, 2))).numpy()


def record() -> dict:
    """Everything the tests compare with, from the libraries themselves."""
    import timm
    import torch
    import torchvision

    found = {"versions": {m.__name__: m.__version__ for m in (torch, timm, torchvision)}}
    for library, networks in OURS.items():
        for name, ours in networks.items():
            model = torch_model(library, name)
            shapes = state_shapes(model)
            entry = {"ours": ours, "tensors": len(shapes), "sha256": digest(shapes)}
            if (library, name) in COMPUTED:
                logits = torch_logits(model, weights(shapes, COMPUTED[library, name]))
                assert np.abs(logits[0] - logits[1]).max() > 0.05 * np.abs(logits).max()
                entry["logits"] = [
                    [float(f"{logit:.7g}") for logit in image] for image in logits[:, :LOGITS]
                ]
            found.setdefault(library, {})[name] = entry
            print(library, name, entry["tensors"], np.abs(entry.get("logits", 0)).max())
    return found


if __name__ == "__main__":
    RECORD.write_text(json.dumps(record(), indent=None, separators=(",", ":")) + "\n")
