"""Weights of RGB networks for images of another number of channels.

As timm's `adapt_input_conv`, what the channels add up to stays the same: one channel sees the sum
of the three, and more channels share what three had. Here the channels beyond RGB start as the
average of the three instead of as copies of R, G, B in turn, and the normalisation is part of it.
"""

from collections.abc import Sequence

import numpy as np

from efficientnet_tf.nn.normalization import per_channel
from efficientnet_tf.weights.assignment import Weights

KERNEL = "stem/conv2d/kernel"
_MOVING_MEAN = "stem/tpu_batch_normalization/moving_mean"
_RGB = 3


def adapt_stem(
    weights: Weights,
    channels: int,
    mean_rgb: Sequence[float] = (0.0, 0.0, 0.0),
    stddev_rgb: Sequence[float] = (1.0, 1.0, 1.0),
) -> tuple[Weights, str]:
    """Weights whose first convolution takes `channels` channels in place of RGB.

    An image with the same content in every channel gives the response of that content in R, G and
    B: exactly, but for the pixels that see the padding, whose value in grey levels is the mean.

    Args:
      weights: by the original's names.
      channels: of the network's input.
      mean_rgb, stddev_rgb: what the network normalises with inside, for the channels of a network
        that `nn.network` builds. By default it has no normalisation: images come normalised.

    Returns:
      The weights and a line that says what was done; empty where nothing was to do.
    """
    kernel = weights[KERNEL]
    if kernel.shape[2] != _RGB or channels == _RGB:
        return weights, ""
    means, stddevs = (
        (np.array(rgb, np.float64)[:, None], np.array(per_channel(rgb, channels))[:, None])
        for rgb in (mean_rgb, stddev_rgb)
    )
    per_level = kernel / stddevs[0]  # response to one grey level, [kh, kw, 3, filters]
    average = per_level.mean(axis=2, keepdims=True)
    kept = [per_level] if channels > _RGB else []
    added = channels - _RGB * len(kept)
    spread = np.concatenate([*kept, *[average] * added], axis=2) * (_RGB / channels)
    # The means differ from channel to channel: a constant that the batch norm's mean takes up.
    shift = (spread * means[1]).sum((0, 1, 2)) - (per_level * means[0]).sum((0, 1, 2))
    adapted = {
        KERNEL: (spread * stddevs[1]).astype(kernel.dtype),
        _MOVING_MEAN: (weights[_MOVING_MEAN] - shift).astype(kernel.dtype),
    }
    return {**weights, **adapted}, _description(channels)


def _description(channels: int) -> str:
    if channels == 1:
        return "the stem was adapted to 1 channel: its RGB kernels are added up"
    scale = f"scaled by 3/{channels}"
    if channels < _RGB:
        return (
            f"the stem was adapted to {channels} channels: the average of its RGB kernels, {scale}"
        )
    return (
        f"the stem was adapted to {channels} channels: its RGB kernels, and their average for the "
        f"other channels, {scale}"
    )
