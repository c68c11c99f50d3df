"""The range test against gradient descent whose largest stable rate is known."""

import math

import numpy as np
import pytest

from efficientnet_tf.train.progress import Progress
from efficientnet_tf.train.rate_range import RateRange, growing_rate, measure

STEPS = 100


class Descent:
    """A loop of gradient descent on the mean of `curvature x^2 / 2`: it diverges above 2 / c."""

    def __init__(self, curvature, momentum=0.9, noise=0.0):
        self.curvature, self.momentum, self.noise = curvature, momentum, noise
        self.weights, self.velocity = np.ones(10), np.zeros(10)
        self.schedule = growing_rate(STEPS)
        self.step, self.random = 0, np.random.default_rng(0)

    def run(self, steps):
        assert steps == 1
        loss = 1 + np.mean(self.curvature * self.weights**2) / 2 + self.noise * self.random.normal()
        self.velocity = self.momentum * self.velocity + self.curvature * self.weights
        self.weights = self.weights - float(self.schedule(self.step)) * self.velocity
        self.step += 1
        return [{"loss": loss}]


def ranged(loop):
    return measure(loop, loop.schedule, STEPS, Progress("", STEPS, enabled=False))


def test_rates_grow_in_equal_factors():
    rates = np.array([float(growing_rate(STEPS)(step)) for step in range(STEPS)])
    assert rates == pytest.approx(np.geomspace(1e-5, 10, STEPS), rel=1e-3)


@pytest.mark.parametrize("curvature", [1, 30, 1000])
@pytest.mark.parametrize("noise", [0, 0.02])
def test_the_good_rate_is_below_the_largest_stable_one(curvature, noise):
    """Heavy-ball descent on a quadratic is stable up to `2 (1 + momentum) / curvature`."""
    test = ranged(Descent(curvature, noise=noise))
    limit = 2 * 1.9 / curvature
    assert limit / 1000 < test.good_rate < limit


def test_it_ends_when_the_loss_diverges():
    test = ranged(Descent(1000))
    assert len(test.losses) < STEPS
    assert max(test.losses[:-5]) < 4 * test.losses[0] < test.losses[-1]


def test_a_loss_that_is_not_finite_ends_it_and_is_no_part_of_it():
    loop = Descent(1)
    losses = iter([2.0, 1.0, 0.5, 0.6, math.nan])
    loop.run = lambda steps: [{"loss": next(losses)}]
    assert ranged(loop).losses == [2.0, 1.0, 0.5, 0.6]


def test_no_rate_is_good_where_the_loss_only_rises():
    loop = Descent(1)
    losses = iter(np.geomspace(1, 1e4, STEPS))
    loop.run = lambda steps: [{"loss": next(losses)}]
    assert ranged(loop).good_rate is None


def test_smoothing_keeps_a_constant_and_the_place_of_a_valley():
    rates = np.geomspace(1e-5, 10, STEPS)
    assert RateRange(STEPS, rates, [3.0] * 7).smoothed == pytest.approx(np.full(7, 3.0))
    valley = RateRange(STEPS, rates, (np.arange(STEPS) - 60.0) ** 2)
    assert valley.smoothed.argmin() == 60
