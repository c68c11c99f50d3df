"""A chart of curves over a logarithmic axis, as an array for a PNG file."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

# Drawn at twice the size and then halved: Pillow's lines have hard edges.
_SCALE = 2
_WIDTH, _HEIGHT = 960, 600
_LEFT, _TOP, _RIGHT, _BOTTOM = 80, 60, 930, 530
_FONT_SIZE = 15
_TICKS = 6


class LogChart:
    """Curves of `y` over a logarithmic `x`, cut where they leave the frame.

    Args:
      x_range, y_range: lowest and highest value shown; `x` is positive.
      title, x_label, y_label: with units.
    """

    def __init__(
        self,
        x_range: tuple[float, float],
        y_range: tuple[float, float],
        title: str,
        x_label: str,
        y_label: str,
    ):
        self._x_range, self._y_range = x_range, y_range
        size = (_WIDTH * _SCALE, _HEIGHT * _SCALE)
        self._image = Image.new("RGB", size, "white")
        self._draw = ImageDraw.Draw(self._image)
        self._font = ImageFont.load_default(_FONT_SIZE * _SCALE)
        self._axes()
        self._text((_LEFT, 22), title, "ls")
        self._text((_LEFT, _TOP - 12), y_label, "ls")
        self._text(((_LEFT + _RIGHT) / 2, _BOTTOM + 50), x_label, "ms")

    def curve(self, x: Sequence[float], y: Sequence[float], color: str, width: int) -> None:
        """A line through the points."""
        layer = self._image.copy()
        points = [self._scaled(self._place(*point)) for point in zip(x, y, strict=True)]
        ImageDraw.Draw(layer).line(points, color, width * _SCALE, joint="curve")
        frame = tuple(value * _SCALE for value in (_LEFT, _TOP, _RIGHT, _BOTTOM))
        self._image.paste(layer.crop(frame), frame[:2])

    def mark(self, x: float, label: str, color: str) -> None:
        """A vertical line at `x`, its label beside it."""
        left = self._place(x, self._y_range[0])[0]
        self._line((left, _TOP), (left, _BOTTOM), color, 2)
        is_right = left > (_LEFT + _RIGHT) / 2
        self._text((left + (-8 if is_right else 8), _TOP + 20), label, "rs" if is_right else "ls")

    def pixels(self) -> np.ndarray:
        """uint8 [height, width, 3]."""
        return np.asarray(self._image.resize((_WIDTH, _HEIGHT), Image.Resampling.LANCZOS))

    def _axes(self):
        low, high = (math.log10(value) for value in self._x_range)
        for exponent in range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1):
            x = self._place(10.0**exponent, 0)[0]
            self._line((x, _TOP), (x, _BOTTOM), "gainsboro")
            self._text((x, _BOTTOM + 22), f"{10.0**exponent:g}", "ms")
        for value in _round_values(*self._y_range):
            y = self._place(1.0, value)[1]
            self._line((_LEFT, y), (_RIGHT, y), "gainsboro")
            self._text((_LEFT - 10, y), f"{value:g}", "rm")
        corners = [(_LEFT, _TOP), (_LEFT, _BOTTOM), (_RIGHT, _BOTTOM)]
        for start, end in zip(corners, corners[1:], strict=False):
            self._line(start, end, "black")

    def _place(self, x, y):
        """Where a point lies in the finished picture."""
        low, high = (math.log10(value) for value in self._x_range)
        right = (math.log10(x) - low) / (high - low)
        up = (y - self._y_range[0]) / (self._y_range[1] - self._y_range[0])
        return _LEFT + right * (_RIGHT - _LEFT), _BOTTOM - up * (_BOTTOM - _TOP)

    def _line(self, start, end, color, width=1):
        self._draw.line([self._scaled(start), self._scaled(end)], color, width * _SCALE)

    def _text(self, place, text, anchor):
        self._draw.text(self._scaled(place), text, "black", self._font, anchor)

    @staticmethod
    def _scaled(place):
        return tuple(value * _SCALE for value in place)


def _round_values(low: float, high: float) -> list[float]:
    """About `_TICKS` values between two, in steps of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    first = math.ceil(low / step)
    return [round(index * step, 10) for index in range(first, math.floor(high / step) + 1)]
