"""Layer-wise decay of the learning rate, by stages."""

from collections.abc import Sequence

import keras

from efficientnet_tf.nn.network import network_blocks


def rate_factors(model: keras.Model, stage_sizes: Sequence[int], decay: float) -> dict[str, float]:
    """What to multiply the rate of each variable by, by the variable's path.

    The classifier learns at the full rate, each part below it at `decay` times the rate of the one
    above: head, stages from the last to the first, stem. What pre-training has learnt on many
    pictures changes the less the more general it is (Howard & Ruder 2018, section 3.2). Counted in
    stages, a factor means the same for every network of the family; BEiT and timm count blocks,
    of which B0 has 16 and B7 has 55.

    Args:
      model: a network of this package, with its classifier.
      stage_sizes: how many blocks each stage has; see `arch.scaling`.
      decay: 0..1; 1 leaves every rate as it is and returns nothing.
    """
    if decay == 1:
        return {}
    stages = [stage for stage, size in enumerate(stage_sizes, 1) for _ in range(size)]
    blocks = zip(network_blocks(model), stages, strict=True)
    last = len(stage_sizes)
    level = {"stem": 0, **{block.name: stage for block, stage in blocks}}
    level |= {"head": last + 1, "predictions": last + 2}
    return {
        variable.path: decay ** (last + 2 - level[layer.name])
        for layer in model.layers
        for variable in layer.weights
    }
