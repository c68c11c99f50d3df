"""How fast something is that is done again and again."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

_MIN_CALLS = 3


@dataclass(frozen=True)
class Pace:
    """What the calls of a measurement took, the first one, which compiles, apart.

    Attributes:
      images: of each call.
      first: seconds of the first call.
      calls: seconds of each later one.
      processor: seconds of all threads of this process, over the later ones.
    """

    images: int
    first: float
    calls: tuple[float, ...]
    processor: float

    @property
    def images_per_second(self) -> float:
        """Of the median call."""
        return self.images / statistics.median(self.calls)

    @property
    def spread(self) -> tuple[float, float]:
        """Images per second of the slowest and of the fastest call."""
        return self.images / max(self.calls), self.images / min(self.calls)

    @property
    def processor_ms(self) -> float:
        """Milliseconds of processor time for each image."""
        return 1000 * self.processor / (self.images * len(self.calls))


def measure_pace(call: Callable[[], object], images: int, seconds: float) -> Pace:
    """Calls once to compile, and then for so many seconds, three times at least."""
    began = time.perf_counter()
    call()
    first = time.perf_counter() - began
    calls, processor, began = [], time.process_time(), time.perf_counter()
    while len(calls) < _MIN_CALLS or time.perf_counter() - began < seconds:
        start = time.perf_counter()
        call()
        calls.append(time.perf_counter() - start)
    return Pace(images, first, tuple(calls), time.process_time() - processor)
