"""AutoAugment (Cubuk et al., arXiv:1805.09501): the policy learned on ImageNet."""

from collections.abc import Sequence

import keras

from efficientnet_tf.config import unknown_name
from efficientnet_tf.data.augment.policy import Policy, Reach, Step

REACH = Reach(translate=250, cutout=100)

# fmt: off
POLICIES: dict[str, list[list[Step]]] = {
    # The policy EfficientNet was trained with; it is not the one printed in the paper.
    "v0": [
        [Step("Equalize", 0.8, 1), Step("ShearY", 0.8, 4)],
        [Step("Color", 0.4, 9), Step("Equalize", 0.6, 3)],
        [Step("Color", 0.4, 1), Step("Rotate", 0.6, 8)],
        [Step("Solarize", 0.8, 3), Step("Equalize", 0.4, 7)],
        [Step("Solarize", 0.4, 2), Step("Solarize", 0.6, 2)],
        [Step("Color", 0.2, 0), Step("Equalize", 0.8, 8)],
        [Step("Equalize", 0.4, 8), Step("SolarizeAdd", 0.8, 3)],
        [Step("ShearX", 0.2, 9), Step("Rotate", 0.6, 8)],
        [Step("Color", 0.6, 1), Step("Equalize", 1.0, 2)],
        [Step("Invert", 0.4, 9), Step("Rotate", 0.6, 0)],
        [Step("Equalize", 1.0, 9), Step("ShearY", 0.6, 3)],
        [Step("Color", 0.4, 7), Step("Equalize", 0.6, 0)],
        [Step("Posterize", 0.4, 6), Step("AutoContrast", 0.4, 7)],
        [Step("Solarize", 0.6, 8), Step("Color", 0.6, 9)],
        [Step("Solarize", 0.2, 4), Step("Rotate", 0.8, 9)],
        [Step("Rotate", 1.0, 7), Step("TranslateY", 0.8, 9)],
        [Step("ShearX", 0.0, 0), Step("Solarize", 0.8, 4)],
        [Step("ShearY", 0.8, 0), Step("Color", 0.6, 4)],
        [Step("Color", 1.0, 0), Step("Rotate", 0.6, 2)],
        [Step("Equalize", 0.8, 4), Step("Equalize", 0.0, 8)],
        [Step("Equalize", 1.0, 4), Step("AutoContrast", 0.6, 2)],
        [Step("ShearY", 0.4, 7), Step("SolarizeAdd", 0.6, 7)],
        [Step("Posterize", 0.8, 2), Step("Solarize", 0.6, 10)],
        [Step("Solarize", 0.6, 8), Step("Equalize", 0.6, 1)],
        [Step("Color", 0.8, 6), Step("Rotate", 0.4, 5)],
    ],
}
# fmt: on


@keras.saving.register_keras_serializable("efficientnet_tf")
class AutoAugment(Policy):
    """`AutoAugment()(image, seed)`: one sub-policy of `policy`, `uint8 [H, W, 3]` in and out.

    Args:
      policy: a name in `POLICIES`, or sub-policies of one's own, each a list of
        `(operation, probability, magnitude)`.

    Raises:
      UserError: unknown policy or operation, or a number out of range.
    """

    def __init__(self, policy: str | Sequence[Sequence[Step]] = "v0"):
        if isinstance(policy, str) and policy not in POLICIES:
            raise unknown_name("AutoAugment policy", policy, POLICIES)
        self._policy = policy
        super().__init__(POLICIES[policy] if isinstance(policy, str) else policy, 1, REACH)

    def get_config(self) -> dict:
        if isinstance(self._policy, str):
            return {"policy": self._policy}
        return {"policy": [[list(step) for step in steps] for steps in self._policy]}
