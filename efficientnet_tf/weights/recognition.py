"""Which variant weights are of, told from their shapes."""

import re
from collections.abc import Mapping

from efficientnet_tf.arch.scaling import block_plans, head_filters, stem_filters
from efficientnet_tf.arch.variants import VARIANTS
from efficientnet_tf.config import ModelConfig

_BLOCK = re.compile(r"(?:model/)?blocks_(\d+)/")


def recognise(shapes: Mapping[str, tuple]) -> list[str]:
    """The variants with as many blocks, and as many filters in the first and last convolution.

    Args:
      shapes: of the weights by the original's names, without scope.

    Returns:
      Names as in `available_models()`; variants that differ elsewhere only are not told apart.
    """
    ends = [shapes.get(f"{name}/conv2d/kernel", (None,))[-1] for name in ("stem", "head")]
    matches = map(_BLOCK.match, shapes)
    blocks = {match[1] for match in matches if match}
    found = (*ends, len(blocks))
    return [name for name, config in VARIANTS.items() if _size(config) == found]


def _size(config: ModelConfig) -> tuple[int, int, int]:
    return stem_filters(config), head_filters(config), len(block_plans(config))
