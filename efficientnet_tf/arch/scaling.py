"""Compound scaling: its coefficients, and the list of blocks to build for a scaled `ModelConfig`.

Tan & Le 2019 (arXiv 1905.11946), section 3.3. Multiply-adds grow with depth, and with the squares
of width and resolution: alpha * beta^2 * gamma^2 = 2 doubles them with every step of phi.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import NamedTuple

from efficientnet_tf.config import BlockSpec, ModelConfig

# The paper's bases of depth, width and resolution, from its grid search with B0.
ALPHA, BETA, GAMMA = 1.2, 1.1, 1.15


class Coefficients(NamedTuple):
    """What multiplies the blocks, the filters and the side of the image of a network."""

    depth: float
    width: float
    resolution: float

    @property
    def growth(self) -> float:
        """How many times the multiply-adds there are, were nothing rounded."""
        return self.depth * self.width**2 * self.resolution**2


def compound_coefficients(
    phi: float, alpha: float = ALPHA, beta: float = BETA, gamma: float = GAMMA
) -> Coefficients:
    """Depth, width and resolution for about 2^phi times the multiply-adds (the paper's equation 3).

    The published B1 to B7 are rounded by hand, so that no phi gives exactly theirs:
    `compound_coefficients(1)` is near B2, `compound_coefficients(2)` near B3.

    Args:
      phi: the compound coefficient; 0 is the network as it is, a negative one shrinks it.
      alpha, beta, gamma: bases of depth, width and resolution.
    """
    return Coefficients(alpha**phi, beta**phi, gamma**phi)


def apply(config: ModelConfig, coefficients: Coefficients) -> ModelConfig:
    """`config` with its depth, width and input size multiplied; the size is rounded to a pixel."""
    return config.replace(
        depth_coefficient=config.depth_coefficient * coefficients.depth,
        width_coefficient=config.width_coefficient * coefficients.width,
        input_size=round(config.input_size * coefficients.resolution),
    )


def scale(
    config: ModelConfig,
    phi: float,
    alpha: float = ALPHA,
    beta: float = BETA,
    gamma: float = GAMMA,
) -> ModelConfig:
    """Any network scaled by the compound method.

        config = scale(en.model_config("efficientnet-lite0"), phi=1)
        model = efficientnet_tf.nn.network.build_network(config)

    Filters and blocks are rounded when it is built (`round_filters`, `round_repeats`), so that
    `arch.cost.total` tells what it costs, and 2^phi only about what.

    Args:
      phi, alpha, beta, gamma: of `compound_coefficients`.
    """
    return apply(config, compound_coefficients(phi, alpha, beta, gamma))


@dataclass(frozen=True)
class BlockPlan:
    """One block after scaling.

    Attributes:
      operator: `mbconv`, `fused_mbconv` (one k x k convolution for expansion and depthwise) or
        `cond_mbconv` (kernels mixed from experts).
      kernel_size, strides: of the spatial convolution.
      input_filters: channels that enter, after space-to-depth where there is one.
      expanded_filters: channels that enter the projection.
      output_filters: channels out.
      expands: whether there is an expansion; without, a fused block is one convolution.
      se_filters: channels inside squeeze-excite, 0 for none.
      skip: whether the input is added to the output.
      survival_prob: chance, 0..1, that the branch is kept in training.
      activation: name of a Keras activation.
      padding: of the spatial convolution, `same` or `symmetric`.
      space_to_depth: whether a 2x2 convolution with stride 2 to `input_filters` comes first.
      num_experts: kernels to mix in a `cond_mbconv`, else 0.
    """

    operator: str
    kernel_size: int
    strides: int
    input_filters: int
    expanded_filters: int
    output_filters: int
    expands: bool
    se_filters: int
    skip: bool
    activation: str
    space_to_depth: bool = False
    num_experts: int = 0
    padding: str = "same"
    survival_prob: float = 1.0

    @property
    def downsampling(self) -> int:
        """By how much the block divides height and width."""
        return self.strides * (2 if self.space_to_depth else 1)


def round_filters(filters: int, config: ModelConfig) -> int:
    """`filters` scaled by the width and rounded to a multiple of `depth_divisor`.

    Rounding down leaves at least the share `min_rounding`.
    """
    scaled = filters * config.width_coefficient
    divisor = config.depth_divisor
    rounded = max(config.min_depth, int(scaled + divisor / 2) // divisor * divisor)
    if rounded < config.min_rounding * scaled:
        rounded += divisor
    return int(rounded)


def round_repeats(repeats: int, config: ModelConfig) -> int:
    """`repeats` scaled by the depth, rounded up."""
    return int(math.ceil(config.depth_coefficient * repeats))


def stem_filters(config: ModelConfig) -> int:
    """Channels of the first convolution."""
    filters = config.stem_filters
    return filters if config.fix_head_stem else round_filters(filters, config)


def head_filters(config: ModelConfig) -> int:
    """Channels of the last convolution, which the classifier sees."""
    filters = config.head_filters
    return filters if config.fix_head_stem else round_filters(filters, config)


def _scaled(spec: BlockSpec, config: ModelConfig, index: int) -> BlockSpec:
    """Stage number `index` with its final filters and repeats."""
    fixed = config.fix_head_stem and index in (0, len(config.blocks) - 1)
    return dataclasses.replace(
        spec,
        input_filters=round_filters(spec.input_filters, config),
        output_filters=round_filters(spec.output_filters, config),
        num_repeat=spec.num_repeat if fixed else round_repeats(spec.num_repeat, config),
    )


def stage_sizes(config: ModelConfig) -> list[int]:
    """How many blocks each stage has."""
    return [_scaled(spec, config, i).num_repeat for i, spec in enumerate(config.blocks)]


def _repeats(spec: BlockSpec) -> list[BlockSpec]:
    """The blocks of one scaled stage; only the first strides, and changes channels and depth."""
    first = rest = spec
    if spec.space_to_depth and spec.strides == 1:
        # A quarter of the pixels, four times the filters; the kernel still spans the same area.
        first = rest = dataclasses.replace(
            spec,
            input_filters=spec.input_filters * 4,
            output_filters=spec.output_filters * 4,
            kernel_size=(spec.kernel_size + 1) // 2,
        )
    elif spec.space_to_depth:
        first = dataclasses.replace(spec, strides=1)  # the resolution is already halved
    rest = dataclasses.replace(rest, strides=1, input_filters=rest.output_filters, space_to_depth=0)
    return [first] + [rest] * (spec.num_repeat - 1)


def _plan(block: BlockSpec, channels: int, config: ModelConfig) -> BlockPlan:
    """The final numbers of a block that `channels` channels enter.

    Expansion and SE are sized by the block's nominal input filters, as in the original. They are
    not what enters where a stem is not scaled (Lite) or space-to-depth ends (X, H).
    """
    entering = block.space_to_depth == 1
    inputs = block.input_filters if entering else channels
    expands = block.expand_ratio != 1
    se_ratio = 0 if block.no_depthwise else (block.se_ratio or 0) * config.se_coefficient
    se_filters = max(1, int(block.input_filters * se_ratio)) if se_ratio else 0
    same_shape = block.strides == 1 and inputs == block.output_filters and not entering
    return BlockPlan(
        operator=_operator(block),
        kernel_size=3 if block.no_depthwise else block.kernel_size,
        strides=block.strides,
        input_filters=inputs,
        expanded_filters=block.input_filters * block.expand_ratio if expands else inputs,
        output_filters=block.output_filters,
        expands=expands,
        se_filters=se_filters // 4 if entering else se_filters,
        skip=block.id_skip and same_shape,
        activation=block.activation or config.activation,
        space_to_depth=entering,
        num_experts=config.num_experts if block.condconv else 0,
        padding=config.padding,
    )


def _operator(block: BlockSpec) -> str:
    if block.condconv:
        return "cond_mbconv"
    return "fused_mbconv" if block.fused or block.no_depthwise else "mbconv"


def block_plans(config: ModelConfig) -> tuple[BlockPlan, ...]:
    """Every block of the network in order, with its depth-dependent survival probability."""
    plans, channels = [], stem_filters(config)
    for index, spec in enumerate(config.blocks):
        for block in _repeats(_scaled(spec, config, index)):
            plans.append(_plan(block, channels, config))
            channels = block.output_filters
    drop = 1.0 - (config.survival_prob or 1.0)
    return tuple(
        # The original divides by the number of blocks, so the last one never reaches `drop`.
        dataclasses.replace(plan, survival_prob=1.0 - drop * index / len(plans))
        for index, plan in enumerate(plans)
    )
