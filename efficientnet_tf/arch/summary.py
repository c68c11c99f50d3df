"""Text tables of a network's stages and of the whole family. No TensorFlow, nothing is built."""

from collections.abc import Sequence

from efficientnet_tf.arch.cost import Cost, Piece, pieces, total
from efficientnet_tf.arch.scaling import BlockPlan, block_plans, stage_sizes
from efficientnet_tf.arch.variants import VARIANTS, model_config
from efficientnet_tf.config import ModelConfig

_STAGE_HEADER = (
    "stage", "operator", "resolution", "channels", "repeats", "parameters", "multiply-adds"
)  # fmt: skip
_FAMILY_HEADER = ("model", "size", "width", "depth", "blocks", "parameters", "multiply-adds")


def stage_table(config: ModelConfig, image_shape: tuple[int, int, int] | None = None) -> str:
    """One row for each stage, with what it costs for one image; the paper's table 1.

    Args:
      config: the network.
      image_shape: `(height, width, channels)`; the variant's own square RGB by default.

    Returns:
      Lines of text. Resolution and channels are those of the stage's output; parameters are the
      trainable ones.
    """
    stem, *blocks, head, classifier = pieces(config, image_shape)
    rows = [_row("stem", "conv 3x3", [stem])]
    plans, start = block_plans(config), 0
    stages = zip(config.blocks, stage_sizes(config), strict=True)
    for number, (spec, size) in enumerate(stages, start=1):
        operator = _operator(plans[start], spec.expand_ratio)
        rows.append(_row(str(number), operator, blocks[start : start + size]))
        start += size
    rows.append(_row("head", "conv 1x1", [head]))
    rows.append(_row("top", "pool, dense", [classifier]))
    everything = sum((piece.cost for piece in (stem, *blocks, head, classifier)), Cost())
    rows.append(("total", "", "", "", str(len(blocks)), *_cost_columns(everything)))
    return text_table(_STAGE_HEADER, rows)


def family_table(names: Sequence[str] | None = None) -> str:
    """One row for each variant, every one by default, at its own input size."""
    rows = []
    for name in names or VARIANTS:
        config = model_config(name)
        scaling = (f"{config.width_coefficient:g}", f"{config.depth_coefficient:g}")
        blocks = str(len(block_plans(config)))
        rows.append((name, str(config.input_size), *scaling, blocks, *_cost_columns(total(config))))
    return text_table(_FAMILY_HEADER, rows)


def summary(model_name: str, **overrides: object) -> str:
    """The stage table of a variant under its name, `overrides` being fields of `ModelConfig`.

    Raises:
      UserError: unknown name or override.
    """
    config = model_config(model_name, **overrides)
    side = config.input_size
    return f"{model_name}, {side} x {side} pixels\n\n{stage_table(config)}"


def _row(stage: str, operator: str, members: Sequence[Piece]) -> tuple[str, ...]:
    height, width, channels = members[-1].output_shape
    cost = sum((piece.cost for piece in members), Cost())
    shape = (f"{height} x {width}", str(channels), str(len(members)))
    return (stage, operator, *shape, *_cost_columns(cost))


def _cost_columns(cost: Cost) -> tuple[str, str]:
    return f"{cost.trainable:,}", f"{cost.multiply_adds:,}"


def _operator(plan: BlockPlan, expand_ratio: int) -> str:
    """A stage's first block in the paper's words: `MBConv6 5x5, SE`."""
    names = {"mbconv": "MBConv", "fused_mbconv": "Fused-MBConv", "cond_mbconv": "CondConv"}
    words = [f"{names[plan.operator]}{expand_ratio} {plan.kernel_size}x{plan.kernel_size}"]
    if plan.space_to_depth:
        words.insert(0, "space-to-depth")
    if plan.num_experts:
        words.append(f"{plan.num_experts} experts")
    if plan.se_filters:
        words.append("SE")
    return ", ".join(words)


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns two spaces apart, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    numeric = [all(c[:1].isdigit() or not c for c in column) for column in zip(*rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        aligned = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(cells, widths, numeric, strict=True)
        )
        return "  ".join(aligned).rstrip()

    rule = "  ".join("-" * width for width in widths)
    return "\n".join([line(header), rule, *map(line, rows)])
