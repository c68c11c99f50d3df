"""Pictures before and after augmentation, side by side."""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from efficientnet_tf.data.augment.policy import Policy


def gallery(
    images: np.ndarray, policies: Mapping[str, Policy], rows: int = 2, seed: int = 0
) -> tuple[np.ndarray, list[str]]:
    """A row of originals, then `rows` rows of each policy, every image drawn anew.

    `captioned_grid(*gallery(images, policies), columns=len(images))` draws it.

    Args:
      images: `uint8 [N, S, S, 3]`, N across.
      policies: by the name to show, in order from the top.
      rows: of each policy.
      seed: of the draws; equal arguments give equal galleries.

    Returns:
      `uint8 [N * (1 + rows * policies), S, S, 3]`, and for each image its caption: the policy and
      the operations that were applied.
    """
    pictures, captions = list(images), ["as it is"] * len(images)
    for name, policy in policies.items():
        for image in np.concatenate([images] * rows):
            draw_seed = (seed, len(pictures))
            pictures.append(policy(tf.constant(image), draw_seed).numpy())
            applied = ", ".join(policy.describe(draw_seed)) or "nothing"
            captions.append(f"{name}: {applied}")
    return np.array(pictures), captions
