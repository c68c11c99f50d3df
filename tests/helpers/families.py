"""A small network of each family."""

import keras
import numpy as np

from efficientnet_tf.arch.variants import model_config
from efficientnet_tf.nn.network import build_network

FAMILIES = [
    "efficientnet-b0",
    "efficientnet-lite0",
    "efficientnet-edgetpu-S",
    "efficientnet-condconv-b0-4e",
    "efficientnet-x-b0",
    "efficientnet-h-b5",
    "efficientnetv2-b0",
]
IMAGES = np.random.default_rng(0).uniform(0, 255, (2, 40, 32, 3)).astype("float32")


def small(name: str, *, overrides: dict | None = None, **options: object) -> keras.Model:
    """A network of a quarter of the width and of seven classes, for images of any size."""
    scaling = {"width_coefficient": 0.25, "depth_coefficient": 0.3, "num_classes": 7}
    config = model_config(name, **scaling, **(overrides or {}))
    return build_network(config, input_shape=(None, None, 3), **options)
