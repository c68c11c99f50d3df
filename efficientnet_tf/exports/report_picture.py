"""The report of an export, drawn: its table, and how far each layer of whole numbers is off."""

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from efficientnet_tf.exports.report import ExportReport

_SCALE = 2  # drawn at twice the size and then halved: Pillow's lines have hard edges
_FONT, _LINE, _PAD, _GAP = 14, 24, 20, 18
_CHART = 260
_COLOURS = ("steelblue", "darkorange", "seagreen")


def draw_report(report: ExportReport) -> np.ndarray:
    """uint8 [height, width, 3]."""
    font = ImageFont.load_default(_FONT * _SCALE)
    rows = report.rows()
    widths = [
        max(font.getlength(cell) / _SCALE for cell in column) + _GAP
        for column in zip(*rows, strict=True)
    ]
    curves = [(f.format, f.layers) for f in report.formats if f.layers]
    lines = [*report.problems, *report.notes]
    text = max((font.getlength(line) / _SCALE for line in lines), default=0)
    width = int(max(sum(widths), text, 640) + 2 * _PAD)
    table = _PAD + (2 + len(rows) + len(lines)) * _LINE
    image = Image.new("RGB", (width * _SCALE, (table + bool(curves) * _CHART) * _SCALE), "white")
    page = _Page(ImageDraw.Draw(image), font)
    title = (
        f"{report.model}, {report.image_size} pixels, compared on {report.num_pictures} pictures, "
        f"{report.threads} threads"
    )
    page.text(_PAD, _PAD, title)
    top = _PAD + 1.5 * _LINE
    for row in rows:
        left = _PAD
        for i, (cell, space) in enumerate(zip(row, widths, strict=True)):
            end = left + space
            page.text(*((left, top, cell) if i == 0 else (end - _GAP, top, cell, "ra")))
            left = end
        top += _LINE
    for line in lines:
        page.text(_PAD, top, line, colour="firebrick" if line in report.problems else "black")
        top += _LINE
    if curves:
        _draw_layers(page, curves, (_PAD + 40, top + 40, width - _PAD, table + _CHART - 40))
    size = (image.width // _SCALE, image.height // _SCALE)
    return np.asarray(image.resize(size, Image.Resampling.LANCZOS))


class _Page:
    """Text and lines in the pixels of the finished picture."""

    def __init__(self, draw: ImageDraw.ImageDraw, font):
        self._draw, self._font = draw, font

    def text(self, x: float, y: float, text: str, anchor: str = "la", colour: str = "black"):
        self._draw.text((x * _SCALE, y * _SCALE), text, colour, self._font, anchor)

    def line(self, points, colour: str, width: int = 1):
        scaled = [(x * _SCALE, y * _SCALE) for x, y in points]
        self._draw.line(scaled, colour, width * _SCALE, joint="curve")


def _draw_layers(page: _Page, curves, frame) -> None:
    """Deviation over the layers, a curve for each format."""
    left, top, right, bottom = frame
    highest = max(max(value for _, value in layers) for _, layers in curves) or 1.0
    page.text(left - 40, top - 30, "deviation of each layer from floating point, from the first to "
                                   "the last")  # fmt: skip
    for share in (0.0, 0.5, 1.0):
        y = bottom - share * (bottom - top)
        page.line([(left, y), (right, y)], "gainsboro")
        page.text(left - 6, y, f"{share * highest:.0%}", "rm")
    for (_, layers), colour in zip(curves, _COLOURS, strict=False):
        step = (right - left) / max(len(layers) - 1, 1)
        points = [
            (left + i * step, bottom - value / highest * (bottom - top))
            for i, (_, value) in enumerate(layers)
        ]
        page.line(points, colour, 2)
    left_of_name = left
    for (name, _), colour in zip(curves, _COLOURS, strict=False):
        page.text(left_of_name, bottom + 12, name, colour=colour)
        left_of_name += 150
