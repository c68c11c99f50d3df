"""How far a long job is: a bar on a terminal, a line every ten seconds elsewhere."""

import sys
import time

import keras

_LINE_SECONDS = 10.0


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{seconds:02d}s"


class Progress:
    """Counts towards `target`, with images per second and time left.

    Args:
      title: printed before each line.
      target: None if unknown.
      unit: what is counted, `step` or `image`.
      start: where the count begins (a resumed run).
      images_per_unit: to turn the pace into images per second; None for units of no images, whose
        pace is not shown.
      enabled: False prints nothing.
    """

    def __init__(
        self,
        title: str,
        target: int | None,
        unit: str = "step",
        start: int = 0,
        images_per_unit: int | None = 1,
        enabled: bool = True,
    ):
        self.title, self.target, self.unit = title, target, unit
        self.images_per_unit, self.enabled = images_per_unit, enabled
        self._start, self._began = start, time.perf_counter()
        self._printed = 0.0
        self._bar = self._warm = None
        if enabled and sys.stdout.isatty():
            print(title)
            self._bar = keras.utils.Progbar(target, unit_name=unit)

    def update(self, count: int, **values: float) -> None:
        """Reports that `count` units are done in all; `values` are shown as they are."""
        if not self.enabled:
            return
        now = time.perf_counter()
        pace = (count - self._start) / max(now - self._began, 1e-9)
        if self._warm is None:
            # The first call compiles: its pace says nothing of those that follow.
            self._warm, self._start, self._began = True, count, now
            pace = pace if count == self.target else None
        if pace is not None and self.images_per_unit:
            values = {**values, "images/s": pace * self.images_per_unit}
        if self._bar:
            self._bar.stateful_metrics = set(values)
            self._bar.update(count, list(values.items()), finalize=False)
        elif now - self._printed >= _LINE_SECONDS or count == self.target:
            self._printed = now
            self._print_line(count, pace, values)

    def _print_line(self, count, pace, values):
        of = f"/{self.target}" if self.target else ""
        shown = "".join(f" {name} {value:.4g}" for name, value in values.items())
        left = ""
        if self.target and pace and count < self.target:
            left = f" left {_clock((self.target - count) / pace)}"
        print(f"{self.title} {self.unit} {count}{of}{shown}{left}", flush=True)

    def close(self) -> None:
        """Ends the bar's line."""
        if self._bar:
            print(flush=True)
