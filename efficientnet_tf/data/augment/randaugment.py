"""RandAugment (Cubuk et al., arXiv:1909.13719): any operations, one magnitude."""

import keras

from efficientnet_tf.config import UserError
from efficientnet_tf.data.augment.policy import Policy, Reach, Step

REACH = Reach(translate=100, cutout=40)

OPERATIONS = (
    "AutoContrast", "Equalize", "Invert", "Rotate", "Posterize", "Solarize", "Color", "Contrast",
    "Brightness", "Sharpness", "ShearX", "ShearY", "TranslateX", "TranslateY", "Cutout",
    "SolarizeAdd",
)  # fmt: skip


@keras.saving.register_keras_serializable("efficientnet_tf")
class RandAugment(Policy):
    """`RandAugment(2, 10)(image, seed)`: operations drawn uniformly, always applied.

    Args:
      num_layers: how many operations, one after the other.
      magnitude: of all of them; 10 is AutoAugment's strongest, B5 was trained with 17 and B7 with
        28.

    Raises:
      UserError: `num_layers` below 1 or a negative magnitude.
    """

    def __init__(self, num_layers: int = 2, magnitude: float = 10):
        if num_layers < 1:
            raise UserError(f"RandAugment needs at least one layer, not {num_layers}")
        self._config = {"num_layers": num_layers, "magnitude": magnitude}
        super().__init__([[Step(name, 1.0, magnitude)] for name in OPERATIONS], num_layers, REACH)

    def get_config(self) -> dict:
        return dict(self._config)
