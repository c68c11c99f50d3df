"""A network scaled along one axis or all at once, at equal multiply-adds: the paper's figure 8."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from efficientnet_tf.arch.cost import total
from efficientnet_tf.arch.scaling import Coefficients, apply, scale
from efficientnet_tf.config import ModelConfig, UserError, unknown_name

# A way to scale, and the network that it makes with a coefficient; 1 leaves it as it is.
AXES: dict[str, Callable[[ModelConfig, float], ModelConfig]] = {
    "depth": lambda config, c: apply(config, Coefficients(c, 1.0, 1.0)),
    "width": lambda config, c: apply(config, Coefficients(1.0, c, 1.0)),
    "resolution": lambda config, c: apply(config, Coefficients(1.0, 1.0, c)),
}
COMPOUND = "compound"
_PRECISION = 1e-4
_LARGEST = 2.0**16


@dataclass(frozen=True)
class Scaled:
    """One network of the comparison.

    Attributes:
      axis: `depth`, `width`, `resolution` or `compound`.
      phi: the compound coefficient whose multiply-adds it was to have.
      depth_coefficient, width_coefficient, input_size: its scaling.
      parameters: trainable ones.
      multiply_adds: for one image.
      off_target: by what share they miss those of the compound network, 0.01 for 1% more.
      activations: numbers that convolutions and dense layers put out for one image.
    """

    axis: str
    phi: float
    depth_coefficient: float
    width_coefficient: float
    input_size: int
    parameters: int
    multiply_adds: int
    off_target: float
    activations: int


def compare(config: ModelConfig, phis: Sequence[float]) -> list[Scaled]:
    """The compound network of each `phi`, and those of one axis that cost as much as rounding lets.

    Args:
      config: the baseline, `phi` 0.
      phis: compound coefficients.

    Raises:
      UserError: no such coefficient along an axis.
    """
    rows = []
    for phi in phis:
        for axis, network in at_equal_cost(config, phi).items():
            rows.append(_row(axis, phi, network, total(scale(config, phi)).multiply_adds))
    return rows


def at_equal_cost(config: ModelConfig, phi: float) -> dict[str, ModelConfig]:
    """`{axis: network}`, `compound` last, all of about the compound network's multiply-adds."""
    compound = scale(config, phi)
    target = total(compound).multiply_adds
    single = {axis: matched(config, axis, target) for axis in AXES}
    return {**single, COMPOUND: compound}


def matched(config: ModelConfig, axis: str, multiply_adds: int) -> ModelConfig:
    """`config` scaled along one axis so that its multiply-adds come nearest to a number.

    Args:
      axis: `depth`, `width` or `resolution`.

    Raises:
      UserError: an unknown axis, or no network of the axis costs as much.
    """
    if axis not in AXES:
        raise unknown_name("axis", axis, AXES)

    def network(coefficient: float) -> ModelConfig:
        return AXES[axis](config, coefficient)

    def cost(coefficient: float) -> int:
        return total(network(coefficient)).multiply_adds

    if cost(1.0) == multiply_adds:
        return config
    low, high = 1 / config.input_size, 1.0  # multiply-adds never fall where a coefficient grows
    while cost(high) < multiply_adds:
        low, high = high, 2 * high
        if high > _LARGEST:
            raise UserError(f"no {axis} gives {config.name} {multiply_adds:,} multiply-adds")
    while high - low > _PRECISION:
        middle = (low + high) / 2
        low, high = (low, middle) if cost(middle) >= multiply_adds else (middle, high)
    return network(min((low, high), key=lambda c: abs(cost(c) - multiply_adds)))


def _row(axis: str, phi: float, network: ModelConfig, target: int) -> Scaled:
    cost = total(network)
    return Scaled(
        axis,
        phi,
        round(network.depth_coefficient, 4),
        round(network.width_coefficient, 4),
        network.input_size,
        cost.trainable,
        cost.multiply_adds,
        round(cost.multiply_adds / target - 1, 4),
        cost.activations,
    )
