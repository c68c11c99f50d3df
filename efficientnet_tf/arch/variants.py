"""The families of networks: one row each. Adding a variant is adding a row.

Sources: Tan & Le 2019 (arXiv 1905.11946) for B0-B7, AdvProp (1911.09665) for B8, Noisy Student
(1911.04252) for L2; sizes and dropout as the original code has them.
"""

from efficientnet_tf.arch import block_string
from efficientnet_tf.config import ModelConfig, unknown_name

_B_BLOCKS = block_string.parse_all(
    "r1_k3_s11_e1_i32_o16_se0.25 r2_k3_s22_e6_i16_o24_se0.25 r2_k5_s22_e6_i24_o40_se0.25 "
    "r3_k3_s22_e6_i40_o80_se0.25 r3_k5_s11_e6_i80_o112_se0.25 r4_k5_s22_e6_i112_o192_se0.25 "
    "r1_k3_s11_e6_i192_o320_se0.25"
)

# name: (width, depth, input size, dropout)
_B_ROWS = {
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
}


def _row(name: str, row: tuple[float, float, int, float], **family: object) -> ModelConfig:
    width, depth, input_size, dropout_rate = row
    return ModelConfig(
        name=name,
        width_coefficient=width,
        depth_coefficient=depth,
        input_size=input_size,
        dropout_rate=dropout_rate,
        **family,
    )


VARIANTS: dict[str, ModelConfig] = {
    name: _row(name, row, blocks=_B_BLOCKS) for name, row in _B_ROWS.items()
}


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
