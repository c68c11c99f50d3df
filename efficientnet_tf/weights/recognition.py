"""Which variant weights are of, told from their shapes."""

import math
from collections.abc import Mapping

from efficientnet_tf.arch import cost
from efficientnet_tf.arch.scaling import head_filters
from efficientnet_tf.arch.variants import VARIANTS
from efficientnet_tf.config import ModelConfig
from efficientnet_tf.weights.assignment import CLASSIFIER


def recognise(shapes: Mapping[str, tuple]) -> list[str]:
    """The variants with exactly as many weights before the classifier: one, or none.

    Only X-B0 and X-B1 share theirs with their TPU and GPU twins.

    Args:
      shapes: of the weights by the original's names, without scope.

    Returns:
      Names as in `available_models()`.
    """
    count = sum(math.prod(shape) for name, shape in shapes.items() if name not in CLASSIFIER)
    return [
        name for name, config in VARIANTS.items() if _weights_before_classifier(config) == count
    ]


def _weights_before_classifier(config: ModelConfig) -> int:
    total = cost.total(config)
    classifier = (head_filters(config) + 1) * config.num_classes
    return total.trainable + total.non_trainable - classifier
