"""Compound scaling: from the stages of a `ModelConfig` to the list of blocks that are built."""

import math
from dataclasses import dataclass

from efficientnet_tf.config import BlockSpec, ModelConfig


@dataclass(frozen=True)
class BlockPlan:
    """One MBConv block, every number final.

    Attributes:
      kernel_size, strides: of the depthwise convolution.
      input_filters, output_filters: channels in and out.
      expanded_filters: channels between expansion and projection; equal to `input_filters` in a
        block without expansion.
      se_filters: channels inside squeeze-excite, 0 for none.
      skip: whether the input is added to the output.
      survival_prob: chance, 0..1, that the branch is kept in training.
      activation: name of a Keras activation.
    """

    kernel_size: int
    strides: int
    input_filters: int
    output_filters: int
    expanded_filters: int
    se_filters: int
    skip: bool
    survival_prob: float
    activation: str


def round_filters(filters: int, config: ModelConfig) -> int:
    """`filters` scaled by the width and rounded to the divisor, never down by more than 10%."""
    scaled = filters * config.width_coefficient
    divisor = config.depth_divisor
    rounded = max(config.min_depth, int(scaled + divisor / 2) // divisor * divisor)
    if rounded < 0.9 * scaled:
        rounded += divisor
    return int(rounded)


def round_repeats(repeats: int, config: ModelConfig) -> int:
    """`repeats` scaled by the depth, rounded up."""
    return int(math.ceil(config.depth_coefficient * repeats))


def _stage(spec: BlockSpec, config: ModelConfig) -> list[BlockPlan]:
    """The blocks of one stage; only the first strides and changes the channels."""
    outputs = round_filters(spec.output_filters, config)
    plans = []
    for repeat in range(round_repeats(spec.num_repeat, config)):
        inputs = outputs if repeat else round_filters(spec.input_filters, config)
        strides = 1 if repeat else spec.strides
        plans.append(
            BlockPlan(
                kernel_size=spec.kernel_size,
                strides=strides,
                input_filters=inputs,
                output_filters=outputs,
                expanded_filters=inputs * spec.expand_ratio,
                se_filters=max(1, int(inputs * spec.se_ratio)) if spec.se_ratio else 0,
                skip=spec.id_skip and strides == 1 and inputs == outputs,
                survival_prob=1.0,
                activation=config.activation,
            )
        )
    return plans


def block_plans(config: ModelConfig) -> tuple[BlockPlan, ...]:
    """Every block of the network in order, with its depth-dependent survival probability."""
    plans = [plan for spec in config.blocks for plan in _stage(spec, config)]
    if not config.survival_prob:
        return tuple(plans)
    drop = 1.0 - config.survival_prob
    return tuple(
        # The original divides by the number of blocks, so the last one never reaches `drop`.
        BlockPlan(**{**vars(plan), "survival_prob": 1.0 - drop * index / len(plans)})
        for index, plan in enumerate(plans)
    )
