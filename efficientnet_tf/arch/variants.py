"""The families of networks: one row each. Adding a variant is adding a row.

Sources: Tan & Le 2019 (arXiv 1905.11946) for B0-B7, AdvProp (1911.09665) for B8, Noisy Student
(1911.04252) for L2, CondConv (1904.04971), X and H (2102.05610), V2 (2104.00298); sizes and
dropout as the original code has them.
"""

from collections.abc import Iterator

from efficientnet_tf.arch import stages
from efficientnet_tf.config import ModelConfig, unknown_name

# The fields that all rows of a family share.
_CENTRED = {"mean_rgb": (127.0,) * 3, "stddev_rgb": (128.0,) * 3}
_LITE = {
    **_CENTRED,
    "blocks": stages.LITE,
    "activation": "relu6",
    "fix_head_stem": True,
    "resize_method": "bilinear",
}
_EDGETPU = {
    **_CENTRED,
    "blocks": stages.EDGETPU,
    "activation": "relu",
    "num_classes": 1001,  # 0 is the background
    "resize_method": "bilinear",
}
_CONDCONV = {**_CENTRED, "blocks": stages.CONDCONV}
_X = {"blocks": stages.X, "activation": "relu"}
_H = {"blocks": stages.H, "activation": "relu"}
# V2's code has no `min_rounding`. B0-B3 keep V1's normalisation, the larger ones scale to -1..1
# (automl's `preprocessing.py`, keras.applications).
_V2_BASE = {"blocks": stages.V2_BASE, "batch_norm_momentum": 0.9, "min_rounding": 0.0}
_V2 = {
    "batch_norm_momentum": 0.9,
    "min_rounding": 0.0,
    "stem_filters": 24,
    "mean_rgb": (128.0,) * 3,
    "stddev_rgb": (128.0,) * 3,
}

# (width, depth, input size, dropout), then what only this row has.
_ROWS = {
    "efficientnet-b0": (1.0, 1.0, 224, 0.2),
    "efficientnet-b1": (1.0, 1.1, 240, 0.2),
    "efficientnet-b2": (1.1, 1.2, 260, 0.3),
    "efficientnet-b3": (1.2, 1.4, 300, 0.3),
    "efficientnet-b4": (1.4, 1.8, 380, 0.4),
    "efficientnet-b5": (1.6, 2.2, 456, 0.4),
    "efficientnet-b6": (1.8, 2.6, 528, 0.5),
    "efficientnet-b7": (2.0, 3.1, 600, 0.5),
    "efficientnet-b8": (2.2, 3.6, 672, 0.5),
    "efficientnet-l2": (4.3, 5.3, 800, 0.5),
    "efficientnet-lite0": (1.0, 1.0, 224, 0.2),
    "efficientnet-lite1": (1.0, 1.1, 240, 0.2),
    "efficientnet-lite2": (1.1, 1.2, 260, 0.3),
    "efficientnet-lite3": (1.2, 1.4, 280, 0.3),
    "efficientnet-lite4": (1.4, 1.8, 300, 0.3),
    "efficientnet-edgetpu-S": (1.0, 1.0, 224, 0.2),
    "efficientnet-edgetpu-M": (1.0, 1.1, 240, 0.2),
    "efficientnet-edgetpu-L": (1.2, 1.4, 300, 0.3),
    "efficientnet-condconv-b0-4e": (1.0, 1.0, 224, 0.25, {"num_experts": 4}),
    "efficientnet-condconv-b0-8e": (1.0, 1.0, 224, 0.25, {"num_experts": 8}),
    "efficientnet-condconv-b0-8e-depth": (1.0, 1.1, 224, 0.25, {"num_experts": 8}),
    "efficientnet-x-b0": (1.0, 1.0, 224, 0.2, {"se_coefficient": 4.0}),
    "efficientnet-x-b1": (1.0, 1.1, 240, 0.2, {"se_coefficient": 2.0}),
    "efficientnet-x-b2": (1.1, 1.2, 260, 0.3),
    "efficientnet-x-b3": (1.2, 1.4, 300, 0.3),
    "efficientnet-x-b4": (1.4, 1.8, 380, 0.4),
    "efficientnet-x-b5": (1.6, 2.2, 456, 0.4),
    "efficientnet-x-b6": (1.8, 2.6, 528, 0.5),
    "efficientnet-x-b7": (2.0, 3.1, 600, 0.5),
    "efficientnet-x-tpu-b0": (1.0, 1.0, 224, 0.2, {"se_coefficient": 4.0}),
    "efficientnet-x-tpu-b1": (1.05, 1.09, 229, 0.2, {"se_coefficient": 2.0}),
    "efficientnet-x-tpu-b2": (1.13, 1.29, 244, 0.3),
    "efficientnet-x-tpu-b3": (1.27, 1.62, 263, 0.3),
    "efficientnet-x-tpu-b4": (1.54, 2.38, 299, 0.4),
    "efficientnet-x-tpu-b5": (1.96, 2.76, 332, 0.4),
    "efficientnet-x-tpu-b6": (2.75, 3.01, 328, 0.5),
    "efficientnet-x-tpu-b7": (3.26, 3.44, 350, 0.5),
    "efficientnet-x-gpu-b0": (1.0, 1.0, 224, 0.2, {"se_coefficient": 4.0}),
    "efficientnet-x-gpu-b1": (1.05, 1.09, 229, 0.2, {"se_coefficient": 2.0}),
    "efficientnet-x-gpu-b2": (1.13, 1.24, 237, 0.3),
    "efficientnet-x-gpu-b3": (1.31, 1.63, 255, 0.3),
    "efficientnet-x-gpu-b4": (1.63, 2.4, 282, 0.4),
    "efficientnet-x-gpu-b5": (1.94, 3.29, 306, 0.4),
    "efficientnet-x-gpu-b6": (2.25, 4.28, 328, 0.5),
    "efficientnet-x-gpu-b7": (2.58, 5.46, 350, 0.5),
    "efficientnet-h-b5": (1.92, 2.2, 456, 0.4),
    "efficientnet-h-b6": (2.16, 2.6, 528, 0.5),
    "efficientnet-h-b7": (2.4, 3.1, 600, 0.5),
    "efficientnet-h-tpu-b5": (2.3, 2.76, 332, 0.4),
    "efficientnet-h-tpu-b6": (3.0, 3.01, 328, 0.5),
    "efficientnet-h-tpu-b7": (3.6, 3.44, 350, 0.5),
    "efficientnetv2-b0": (1.0, 1.0, 224, 0.2),
    "efficientnetv2-b1": (1.0, 1.1, 240, 0.2),
    "efficientnetv2-b2": (1.1, 1.2, 260, 0.3),
    "efficientnetv2-b3": (1.2, 1.4, 300, 0.3),
    "efficientnetv2-s": (1.0, 1.0, 384, 0.2, {"blocks": stages.V2_S}),
    "efficientnetv2-m": (1.0, 1.0, 480, 0.3, {"blocks": stages.V2_M}),
    "efficientnetv2-l": (1.0, 1.0, 480, 0.4, {"blocks": stages.V2_L, "stem_filters": 32}),
    "efficientnetv2-xl": (1.0, 1.0, 512, 0.4, {"blocks": stages.V2_XL, "stem_filters": 32}),
}

# A row belongs to the longest of these that its name starts with.
_FAMILIES = {
    "efficientnet-": {"blocks": stages.B},
    "efficientnet-lite": _LITE,
    "efficientnet-edgetpu-": _EDGETPU,
    "efficientnet-condconv-": _CONDCONV,
    "efficientnet-x-": _X,
    "efficientnet-h-": _H,
    "efficientnetv2-b": _V2_BASE,
    "efficientnetv2-": _V2,
}


def _family(name: str) -> dict[str, object]:
    return _FAMILIES[max(filter(name.startswith, _FAMILIES), key=len)]


def _configs() -> Iterator[ModelConfig]:
    for name, (width, depth, size, dropout, *own) in _ROWS.items():
        scaling = {
            "width_coefficient": width,
            "depth_coefficient": depth,
            "input_size": size,
            "dropout_rate": dropout,
        }
        yield ModelConfig(**{"name": name, **_family(name), **scaling, **(own[0] if own else {})})


VARIANTS: dict[str, ModelConfig] = {config.name: config for config in _configs()}


def available_models() -> list[str]:
    """Every model name that `model_config` and `build_model` take."""
    return list(VARIANTS)


def model_config(name: str, **overrides: object) -> ModelConfig:
    """The configuration of a variant, with fields of `ModelConfig` replaced by `overrides`.

    Raises:
      UserError: unknown name (the nearest ones are listed) or unknown override.
    """
    if name not in VARIANTS:
        raise unknown_name("model", name, VARIANTS)
    return VARIANTS[name].replace(**overrides)


def input_size(name: str) -> int:
    """Side in pixels of the square image the variant was designed for."""
    return model_config(name).input_size
