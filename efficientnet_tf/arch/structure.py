"""A network with every number final: what its costs are counted from."""

from collections.abc import Sequence
from dataclasses import dataclass

from efficientnet_tf.arch.scaling import (
    BlockPlan,
    block_plans,
    head_filters,
    stage_sizes,
    stem_filters,
)
from efficientnet_tf.config import ModelConfig


@dataclass(frozen=True)
class Stage:
    """Blocks that follow each other.

    Attributes:
      operator: of the first of them, in the paper's words: `MBConv6 5x5, SE`.
      size: how many they are.
    """

    operator: str
    size: int


@dataclass(frozen=True)
class Structure:
    """Stem, blocks, head and classifier.

    Attributes:
      name: of the network.
      stem_filters, head_filters: channels of the first and the last convolution.
      plans: of the blocks.
      stages: of the blocks, in order.
      num_classes: width of the classifier, None without one.
      image_shape: `(height, width, channels)`.
    """

    name: str
    stem_filters: int
    head_filters: int
    plans: tuple[BlockPlan, ...]
    stages: tuple[Stage, ...]
    num_classes: int | None
    image_shape: tuple[int, int, int]


def structure(config: ModelConfig, image_shape: tuple[int, int, int] | None = None) -> Structure:
    """What `config` scales to.

    Args:
      image_shape: `(height, width, channels)`; the network's own square RGB by default.
    """
    plans, stages, start = block_plans(config), [], 0
    for spec, size in zip(config.blocks, stage_sizes(config), strict=True):
        stages.append(Stage(_operator(plans[start], spec.expand_ratio), size))
        start += size
    return Structure(
        config.name,
        stem_filters(config),
        head_filters(config),
        plans,
        tuple(stages),
        config.num_classes,
        image_shape or (config.input_size, config.input_size, 3),
    )


def stages_of(plans: Sequence[BlockPlan]) -> tuple[Stage, ...]:
    """The stages that blocks seem to belong to, where nobody knows them.

    A stage begins where a block strides, changes channels, or is of another kind than the one
    before.
    """
    starts = [
        index
        for index, plan in enumerate(plans)
        if index == 0 or _begins_stage(plan, plans[index - 1])
    ]
    ends = [*starts[1:], len(plans)]
    return tuple(
        Stage(_operator(plans[start], plans[start].expanded_filters / plans[start].input_filters),
              end - start)
        for start, end in zip(starts, ends, strict=True)
    )  # fmt: skip


def _begins_stage(plan: BlockPlan, before: BlockPlan) -> bool:
    kinds = [(p.operator, p.kernel_size, p.activation, p.num_experts) for p in (plan, before)]
    changes = plan.downsampling > 1 or plan.input_filters != plan.output_filters
    return changes or kinds[0] != kinds[1]


def _operator(plan: BlockPlan, expand_ratio: float) -> str:
    names = {"mbconv": "MBConv", "fused_mbconv": "Fused-MBConv", "cond_mbconv": "CondConv"}
    words = [f"{names[plan.operator]}{expand_ratio:g} {plan.kernel_size}x{plan.kernel_size}"]
    if plan.space_to_depth:
        words.insert(0, "space-to-depth")
    if plan.num_experts:
        words.append(f"{plan.num_experts} experts")
    if plan.se_filters:
        words.append("SE")
    return ", ".join(words)
