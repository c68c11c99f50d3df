"""Tables of a network's stages and of the whole family. No TensorFlow, nothing is built."""

from collections.abc import Sequence
from dataclasses import dataclass

from efficientnet_tf.arch.cost import Cost, Piece, structure_pieces, total
from efficientnet_tf.arch.footprint import FLOAT_BYTES
from efficientnet_tf.arch.scaling import block_plans
from efficientnet_tf.arch.structure import Structure, structure
from efficientnet_tf.arch.variants import VARIANTS, model_config
from efficientnet_tf.config import ModelConfig

_STAGE_HEADER = (
    "stage", "operator", "resolution", "channels", "repeats", "parameters", "multiply-adds",
    "FLOPs", "activations", "peak memory", "receptive field",
)  # fmt: skip
_FAMILY_HEADER = ("model", "size", "width", "depth", "blocks", "parameters", "multiply-adds")


@dataclass(frozen=True)
class StageRow:
    """A row of a network's table; the last one is `total`.

    Attributes:
      stage: `stem`, `1`, `2`, ..., `head`, `top`, `total`.
      operator: what its first block is, in the paper's words.
      height, width, channels: of its output.
      repeats: its blocks.
      parameters: trainable ones.
      non_trainable_parameters: moving statistics of batch norm.
      multiply_adds: of convolutions and dense layers for one image. Papers often call them FLOPs.
      flops: floating-point operations, two for each multiply-add.
      activations: numbers that convolutions and dense layers put out for one image.
      peak_memory_bytes: the most that inference holds for one image at once, in float32, without
        the weights; of the whole network the largest of its stages.
      receptive_field: side of the square of pixels that an output sees, squeeze-excite left out.
    """

    stage: str
    operator: str
    height: int
    width: int
    channels: int
    repeats: int
    parameters: int
    non_trainable_parameters: int
    multiply_adds: int
    flops: int
    activations: int
    peak_memory_bytes: int
    receptive_field: int


def stage_rows(network: Structure) -> list[StageRow]:
    """One row for each stage, with what it costs for one image; the paper's table 1 and more."""
    rows = structure_pieces(network)
    blocks = [piece for piece in rows if piece.name.startswith("blocks_")]
    stem, head, *classifier = (piece for piece in rows if piece not in blocks)
    table, start = [_row("stem", "conv 3x3", [stem])], 0
    for number, stage in enumerate(network.stages, start=1):
        table.append(_row(str(number), stage.operator, blocks[start : start + stage.size]))
        start += stage.size
    table.append(_row("head", "conv 1x1", [head]))
    if classifier:
        table.append(_row("top", "pool, dense", classifier))
    return [*table, _row("total", "", rows, repeats=len(blocks))]


def stage_table(config: ModelConfig, image_shape: tuple[int, int, int] | None = None) -> str:
    """`stage_rows` as lines of text.

    Args:
      config: the network.
      image_shape: `(height, width, channels)`; the variant's own square RGB by default.
    """
    return rows_text(stage_rows(structure(config, image_shape)))


def rows_text(rows: Sequence[StageRow]) -> str:
    """Lines of text. Resolution and channels are those of the stage's output."""
    return text_table(_STAGE_HEADER, [_cells(row) for row in rows])


def family_table(names: Sequence[str] | None = None) -> str:
    """One row for each variant, every one by default, at its own input size."""
    rows = []
    for name in names or VARIANTS:
        config = model_config(name)
        scaling = (f"{config.width_coefficient:g}", f"{config.depth_coefficient:g}")
        blocks, cost = str(len(block_plans(config))), total(config)
        counts = (f"{cost.trainable:,}", f"{cost.multiply_adds:,}")
        rows.append((name, str(config.input_size), *scaling, blocks, *counts))
    return text_table(_FAMILY_HEADER, rows)


def _row(stage: str, operator: str, members: Sequence[Piece], repeats: int = 0) -> StageRow:
    cost = sum((piece.cost for piece in members), Cost())
    return StageRow(
        stage,
        operator,
        *members[-1].output_shape,
        repeats or len(members),
        cost.trainable,
        cost.non_trainable,
        cost.multiply_adds,
        2 * cost.multiply_adds,
        cost.activations,
        FLOAT_BYTES * max(piece.peak for piece in members),
        members[-1].receptive_field,
    )


def _cells(row: StageRow) -> tuple[str, ...]:
    is_total = row.stage == "total"
    shape = ("", "") if is_total else (f"{row.height} x {row.width}", str(row.channels))
    return (
        row.stage,
        row.operator,
        *shape,
        str(row.repeats),
        f"{row.parameters:,}",
        f"{row.multiply_adds:,}",
        f"{row.flops:,}",
        f"{row.activations:,}",
        f"{row.peak_memory_bytes / 2**20:.2f} MiB",
        "" if is_total or row.stage == "top" else str(row.receptive_field),
    )


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
