"""The learning-rate range test: which rates a network learns at, found in one short training.

Smith (2015), arXiv 1506.01186, with a rate that grows exponentially as in fastai.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from keras.optimizers import schedules

from efficientnet_tf.train.loop import DeviceLoop
from efficientnet_tf.train.progress import Progress

_LOWEST, _HIGHEST = 1e-5, 10.0
# A loss this many times the lowest one has diverged.
_DIVERGED = 4.0


def growing_rate(steps: int) -> schedules.LearningRateSchedule:
    """The rate of each step, from very small to too large in equal factors."""
    return schedules.ExponentialDecay(_LOWEST, steps - 1, _HIGHEST / _LOWEST)


@dataclass(frozen=True)
class RateRange:
    """What a range test measured.

    Attributes:
      steps: of the whole test, which may have ended before.
      rates: learning rate of each step that was done.
      losses: of these steps, before their update; finite.
    """

    steps: int
    rates: Sequence[float]
    losses: Sequence[float]

    @property
    def smoothed(self) -> np.ndarray:
        """The losses averaged over neighbouring steps, a tenth of the test on either side."""
        window = np.hanning(self.steps // 10 * 2 + 1)[1:-1]
        sums, weights = (
            np.convolve(values, window)[len(window) // 2 :][: len(self.losses)]
            for values in (self.losses, np.ones(len(self.losses)))
        )
        return sums / weights

    @property
    def has_diverged(self) -> bool:
        """Whether the loss is far above its lowest value by now."""
        return bool(self.losses) and self.smoothed[-1] > _DIVERGED * self.smoothed.min()

    @property
    def good_rate(self) -> float | None:
        """A quarter of the rate at which the loss is lowest; None if it never fell.

        Momentum is still carrying out the last ten steps when the loss turns, so the rate of the
        turn is already too large for a whole training. Of constant rates a quarter to a third of
        it trained best, in fine-tuning and from scratch; the customary tenth was slow.
        """
        lowest = int(self.smoothed.argmin())
        return self.rates[lowest] / 4 if lowest else None


def measure(
    loop: DeviceLoop, schedule: schedules.LearningRateSchedule, steps: int, progress: Progress
) -> RateRange:
    """Trains with the growing rate until the loss diverges, or to the last step.

    Args:
      loop: of a step that has done no step yet and whose optimizer has the rate `schedule`.
      schedule: `growing_rate(steps)`.
      progress: counts the steps.
    """
    rates, losses = [], []
    test = RateRange(steps, rates, losses)
    while len(losses) < steps and not test.has_diverged:
        rate, loss = float(schedule(len(losses))), loop.run(1)[0]["loss"]
        if not math.isfinite(loss):
            break
        rates.append(rate)
        losses.append(loss)
        progress.update(len(losses), loss=loss, rate=rate)
    progress.close()
    return test
