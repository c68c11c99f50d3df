"""The paper's grid of (alpha, beta, gamma) under its constraint, for any baseline (section 3.3).

The paper trained the network of every point and kept the best; which one that is depends on the
data. Here is what each costs, and `scale` makes the network of a point.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from efficientnet_tf.arch.cost import total
from efficientnet_tf.arch.scaling import Coefficients, scale
from efficientnet_tf.config import ModelConfig, UserError

# Of the constraint alpha * beta^2 * gamma^2 = 2.
TARGET = 2.0


@dataclass(frozen=True)
class GridPoint:
    """A point of the grid and the network that it scales the baseline to.

    Attributes:
      alpha, beta, gamma: bases of depth, width and resolution.
      product: alpha * beta^2 * gamma^2.
      depth_coefficient, width_coefficient, input_size: of the network.
      parameters: trainable ones.
      multiply_adds: for one image.
      growth: multiply-adds by those of the baseline: not `product`, as filters and blocks are
        rounded.
      activations: numbers that convolutions and dense layers put out for one image.
    """

    alpha: float
    beta: float
    gamma: float
    product: float
    depth_coefficient: float
    width_coefficient: float
    input_size: int
    parameters: int
    multiply_adds: int
    growth: float
    activations: int


def search(
    config: ModelConfig, phi: float = 1.0, step: float = 0.05, tolerance: float = 0.1
) -> list[GridPoint]:
    """Every point with alpha, beta, gamma >= 1 whose product is 2, give or take the tolerance.

    Args:
      config: the baseline.
      phi: compound coefficient of the networks; the paper's is 1.
      step: between neighbours of the grid. The paper does not say its own; its optimum, 1.2, 1.1
        and 1.15, lies on this one.
      tolerance: largest difference of the product from 2.

    Raises:
      UserError: a step or tolerance that is not positive, or so fine a grid that it has no end.
    """
    if not (0.005 <= step <= 1 and 0 < tolerance <= 1):
        raise UserError(f"a grid of step={step} and tolerance={tolerance}: 0.005 to 1, and up to 1")
    baseline = total(config).multiply_adds
    return [_point(config, phi, bases, baseline) for bases in _bases(step, tolerance)]


def _bases(step: float, tolerance: float) -> Iterator[Coefficients]:
    highest = TARGET + tolerance
    values = [round(1 + i * step, 10) for i in range(int((highest - 1) / step) + 1)]
    for alpha, beta, gamma in itertools.product(values, repeat=3):
        bases = Coefficients(alpha, beta, gamma)
        # The last digits of a product of rounded numbers say nothing.
        if abs(bases.growth - TARGET) <= tolerance + 1e-9:
            yield bases


def _point(config: ModelConfig, phi: float, bases: Coefficients, baseline: int) -> GridPoint:
    network = scale(config, phi, *bases)
    cost = total(network)
    return GridPoint(
        *bases,
        round(bases.growth, 4),
        round(network.depth_coefficient, 4),
        round(network.width_coefficient, 4),
        network.input_size,
        cost.trainable,
        cost.multiply_adds,
        round(cost.multiply_adds / baseline, 4),
        cost.activations,
    )
