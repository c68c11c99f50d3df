"""What inference holds in memory at a time, and how far an output sees."""

from collections.abc import Iterator

from efficientnet_tf.arch.scaling import BlockPlan

FLOAT_BYTES = 4


def block_peak(plan: BlockPlan, before: int, after: int) -> int:
    """The most numbers of one image that are alive at once inside a block.

    An operation holds what it reads and what it writes, and the block's input until the last one
    that needs it; batch norm, activation, squeeze-excite's scaling and the sum of the skip
    connection write over what they read. Weights are not counted.

    Args:
      before, after: pixels that enter and leave the block.
    """
    inputs = before * plan.input_filters
    peaks = []
    if plan.space_to_depth:
        inputs = after * plan.input_filters
        peaks.append(before * plan.input_filters // 4 + inputs)
        before = after
    tensors = [inputs, *_written(plan, before, after)]
    for index, (read, written) in enumerate(zip(tensors, tensors[1:], strict=False)):
        kept = inputs if plan.skip and index else 0
        peaks.append(kept + read + written)
    return max(peaks)


def _written(plan: BlockPlan, before: int, after: int) -> Iterator[int]:
    """What the convolutions of the branch write, in order."""
    is_fused = plan.operator == "fused_mbconv"
    if plan.expands and not is_fused:
        yield before * plan.expanded_filters
    if plan.expands or not is_fused:
        yield after * plan.expanded_filters
    yield after * plan.output_filters


def receptive_field(plans: tuple[BlockPlan, ...]) -> list[int]:
    """Side of the square of pixels that an output sees: of the stem, then of each block.

    Squeeze-excite is left out: through its mean every output sees the whole image a little.
    """
    field, stride = 3, 2  # the stem's convolution
    fields = [field]
    for plan in plans:
        if plan.space_to_depth:
            field, stride = field + stride, 2 * stride
        field += (plan.kernel_size - 1) * stride
        stride *= plan.strides
        fields.append(field)
    return fields
