"""Parameters, multiply-adds and activations of a network, counted without building it.

Multiply-adds are those of convolutions and dense layers for one image, as the original counts
FLOPs (a bias, batch norm or activation counts nothing).
"""

import math
from dataclasses import dataclass

from efficientnet_tf.arch.footprint import block_peak, receptive_field
from efficientnet_tf.arch.scaling import BlockPlan
from efficientnet_tf.arch.structure import Structure, structure
from efficientnet_tf.config import ModelConfig


@dataclass(frozen=True)
class Cost:
    """What a piece of the network costs for one image.

    Attributes:
      trainable, non_trainable: parameters.
      multiply_adds: of convolutions and dense layers.
      activations: numbers that convolutions and dense layers put out.
    """

    trainable: int = 0
    non_trainable: int = 0
    multiply_adds: int = 0
    activations: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.trainable + other.trainable,
            self.non_trainable + other.non_trainable,
            self.multiply_adds + other.multiply_adds,
            self.activations + other.activations,
        )


@dataclass(frozen=True)
class Piece:
    """One row of a network's table.

    Attributes:
      name: `stem`, `blocks_0`, ..., `head`, `predictions`.
      output_shape: `(height, width, channels)`.
      cost: for one image.
      peak: the most numbers of one image that inference holds at once inside it.
      receptive_field: side of the square of pixels that an output sees.
    """

    name: str
    output_shape: tuple[int, int, int]
    cost: Cost
    peak: int
    receptive_field: int


def _conv(kernel_size: int, inputs: int, outputs: int, pixels: int, bias: bool = False) -> Cost:
    weights = kernel_size * kernel_size * inputs * outputs
    return Cost(weights + (outputs if bias else 0), 0, weights * pixels, outputs * pixels)


def _depthwise(kernel_size: int, channels: int, pixels: int) -> Cost:
    return _conv(kernel_size, 1, channels, pixels)


def _batch_norm(channels: int) -> Cost:
    return Cost(2 * channels, 2 * channels)


def _squeeze_excite(channels: int, reduced: int) -> Cost:
    return _conv(1, channels, reduced, 1, bias=True) + _conv(1, reduced, channels, 1, bias=True)


def _experts(cost: Cost, count: int) -> Cost:
    """A convolution whose kernel is mixed from `count` kernels for each example."""
    mixing = count * cost.trainable
    return Cost(mixing, 0, mixing + cost.multiply_adds, cost.activations)


def _branch(plan: BlockPlan, before: int, after: int) -> list[Cost]:
    """The convolutions of a block in order; each is followed by a batch norm.

    Args:
      before, after: pixels that enter and leave the block.
    """
    inputs, expanded, outputs = plan.input_filters, plan.expanded_filters, plan.output_filters
    if plan.operator == "fused_mbconv":
        if not plan.expands:
            return [_conv(plan.kernel_size, inputs, outputs, after)]
        spatial = [_conv(plan.kernel_size, inputs, expanded, after)]
    else:
        spatial = [_depthwise(plan.kernel_size, expanded, after)]
        if plan.expands:
            spatial.insert(0, _conv(1, inputs, expanded, before))
    return [*spatial, _conv(1, expanded, outputs, after)]


def _block(plan: BlockPlan, size: tuple[int, int], output: tuple[int, int]) -> Cost:
    before, after = size[0] * size[1], output[0] * output[1]
    cost = Cost()
    if plan.space_to_depth:
        before = after
        shrunk = plan.input_filters // 4
        cost += _conv(2, shrunk, plan.input_filters, after) + _batch_norm(plan.input_filters)
    convolutions = _branch(plan, before, after)
    widths = [plan.expanded_filters] * (len(convolutions) - 1) + [plan.output_filters]
    for conv, width in zip(convolutions, widths, strict=True):
        cost += _experts(conv, plan.num_experts) if plan.num_experts else conv
        cost += _batch_norm(width)
    if plan.num_experts:
        cost += _conv(1, plan.input_filters, plan.num_experts, 1, bias=True)
    if plan.se_filters:
        cost += _squeeze_excite(plan.expanded_filters, plan.se_filters)
    return cost


def _strided(size: tuple[int, int], strides: int) -> tuple[int, int]:
    height, width = size
    return -(-height // strides), -(-width // strides)


def pieces(
    config: ModelConfig, image_shape: tuple[int, int, int] | None = None
) -> tuple[Piece, ...]:
    """Stem, blocks, head and classifier with their shapes and costs.

    Args:
      config: the network.
      image_shape: `(height, width, channels)`; the variant's own square RGB by default.
    """
    return structure_pieces(structure(config, image_shape))


def structure_pieces(network: Structure) -> tuple[Piece, ...]:
    """The same of a network with its numbers final; no classifier where it has none."""
    height, width, channels = network.image_shape
    size = _strided((height, width), 2)
    stem, head, fields = network.stem_filters, network.head_filters, receptive_field(network.plans)
    cost = _conv(3, channels, stem, math.prod(size)) + _batch_norm(stem)
    peak = height * width * channels + math.prod(size) * stem
    rows = [Piece("stem", (*size, stem), cost, peak, fields[0])]
    for index, plan in enumerate(network.plans):
        output = _strided(size, plan.downsampling)
        peak = block_peak(plan, math.prod(size), math.prod(output))
        shape = (*output, plan.output_filters)
        cost = _block(plan, size, output)
        rows.append(Piece(f"blocks_{index}", shape, cost, peak, fields[index + 1]))
        size = output
    pixels, last = math.prod(size), network.plans[-1].output_filters
    cost = _conv(1, last, head, pixels) + _batch_norm(head)
    rows.append(Piece("head", (*size, head), cost, pixels * (last + head), fields[-1]))
    if classes := network.num_classes:
        cost = _conv(1, head, classes, 1, bias=True)
        peak = max(pixels * head + head, head + classes)  # the pooling, then the dense layer
        rows.append(Piece("predictions", (1, 1, classes), cost, peak, max(height, width)))
    return tuple(rows)


def total(config: ModelConfig, image_shape: tuple[int, int, int] | None = None) -> Cost:
    """The cost of the whole network for one image."""
    return sum((piece.cost for piece in pieces(config, image_shape)), Cost())


def kept_activations(
    config: ModelConfig,
    image_shape: tuple[int, int, int] | None = None,
    remat: bool = False,
) -> tuple[int, int]:
    """The activations of one image that training needs at a time, out of `total().activations`.

    Args:
      config: the network.
      image_shape: `(height, width, channels)`; the variant's own square RGB by default.
      remat: blocks keep their outputs alone, and one at a time computes what is inside it again.

    Returns:
      Those that the backward pass keeps, and those of the largest block, whose gradients it holds.
    """
    rows = pieces(config, image_shape)
    blocks = [piece for piece in rows if piece.name.startswith("blocks_")]
    largest = max(piece.cost.activations for piece in blocks)
    kept = sum(piece.cost.activations for piece in rows)
    if remat:
        kept -= sum(piece.cost.activations for piece in blocks)
        kept += sum(math.prod(piece.output_shape) for piece in blocks) + largest
    return kept, largest
