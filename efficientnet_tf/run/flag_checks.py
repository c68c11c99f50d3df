"""Checks of a flag's value that need neither TensorFlow nor the data.

The upper limits stop typing errors before they exhaust memory or overflow a 32-bit integer.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from efficientnet_tf.arch import block_string
from efficientnet_tf.config import MIN_IMAGE_SIZE, UserError, unknown_name

# Takes the flag's name and value; returns the error to raise, or None.
Check = Callable[[str, Any], UserError | None]


@dataclass(frozen=True)
class Choice:
    """Accepts one of a few names; the error for any other suggests the nearest."""

    names: tuple[str, ...]

    def __call__(self, flag: str, value: str) -> UserError | None:
        return None if value in self.names else unknown_name(f"--{flag}", value, self.names)

    def __str__(self) -> str:
        return f"{', '.join(self.names[:-1])} or {self.names[-1]}"


def choice(*names: str) -> Choice:
    return Choice(names)


def some_of(*names: str) -> Check:
    """Accepts one or more of a few names, with commas between them."""

    def check(flag: str, value: str) -> UserError | None:
        unknown = [name for name in value.split(",") if name not in names]
        return unknown_name(f"--{flag}", unknown[0], names) if unknown else None

    return check


def block_strings(flag: str, value: str) -> UserError | None:
    """Accepts stages in the original's notation, with spaces between them."""
    try:
        stages = block_string.parse_all(value)
    except ValueError as error:
        return UserError(f"--{flag}: {error}")
    return None if stages else UserError(f"--{flag} names no stage, such as r1_k3_s11_e1_i32_o16")


def _rule(holds: Callable[[float], bool], words: str) -> Check:
    def check(flag: str, value: float) -> UserError | None:
        return None if holds(value) else UserError(f"--{flag}={value} must be {words}")

    return check


def _every(*checks: Check) -> Check:
    """Accepts what all of `checks` accept; the error is the first one's."""

    def check(flag: str, value: Any) -> UserError | None:
        return next(filter(None, (check(flag, value) for check in checks)), None)

    return check


def at_least(low: float) -> Check:
    return _rule(lambda value: value >= low, f"at least {low:,}")


def at_most(high: float) -> Check:
    return _rule(lambda value: value <= high, f"at most {high:,}")


def less_than(high: float) -> Check:
    return _rule(lambda value: value < high, f"less than {high:,}")


_finite = _rule(math.isfinite, "a finite number")
_above_0 = _rule(lambda value: value > 0, "positive")


def whole(*checks: Check) -> Check:
    """A whole number that a signed 32-bit integer holds."""
    return _every(*checks, at_least(-(2**31)), at_most(2**31 - 1))


def real(*checks: Check) -> Check:
    """A finite number: `inf` and `nan` are refused."""
    return _every(_finite, *checks)


count = whole(_above_0)
count_from_0 = whole(at_least(0))
batch_size = whole(_above_0, at_most(1_000_000))
num_classes = whole(_above_0, at_most(1_000_000))
image_size = whole(at_least(MIN_IMAGE_SIZE), at_most(10_000))
range_steps = whole(at_least(20), at_most(100_000))
seeds = whole(_above_0, at_most(1000))
phi = real(at_least(0), at_most(10))
filters = whole(_above_0, at_most(100_000))
strength = whole(at_least(0), at_most(100))
layers = whole(_above_0, at_most(100))
positive = real(_above_0)
rate = real(_above_0, at_most(1e30))  # of float32, with room for the size of a batch
from_0 = real(at_least(0))
coefficient = real(_above_0, at_most(100))
fraction = real(at_least(0), at_most(1))
fraction_above_0 = real(_above_0, at_most(1))
fraction_below_1 = real(at_least(0), less_than(1))
