"""A confusion matrix as a picture for TensorBoard or a PNG file."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from efficientnet_tf.run.picture import colour_scale, fit_text

# Above so many classes only those that are confused most are drawn.
_MOST_CLASSES = 50
_BLOCK = 30
_CELL_SIDES = (26, 64)
_TEXT = "#222222"
_GRID = "#dddddd"
_MARGIN = 8
_LINE = 22
_TITLE_WIDTH = 440
# ColorBrewer's Blues from 0 to 1: one hue whose lightness says all, also to the colour-blind.
_BLUES = ("#f7fbff", "#deebf7", "#c6dbef", "#9ecae1", "#6baed6", "#4292c6", "#2171b5", "#084594")


def confusion_picture(matrix: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Counts in cells that are the darker the larger their share of the true class is.

    Of many classes, the block of those that are confused most.

    Args:
      matrix: int [true class, predicted class].
      names: of the classes.

    Returns:
      uint8 [height, width, 3].
    """
    total = len(matrix)
    shown = list(range(total)) if total <= _MOST_CLASSES else _most_confused(matrix, _BLOCK)
    counts = matrix[np.ix_(shown, shown)]
    shares = counts / np.maximum(matrix[shown].sum(axis=1, keepdims=True), 1)
    side = int(np.clip(900 // len(shown), *_CELL_SIDES))
    labels = [_label(names[index], side) for index in shown]
    margin = max(label.width for label in labels) + _MARGIN
    left, top = margin + _MARGIN, 2 * _LINE + margin
    width, height = (start + side * len(shown) + _MARGIN for start in (left, top))
    canvas = Image.new("RGB", (max(width, _TITLE_WIDTH), height), "white")
    draw = ImageDraw.Draw(canvas)
    for line, words in enumerate(_title(len(shown), total)):
        text, font = fit_text(words, canvas.width - 2 * _MARGIN)
        draw.text((_MARGIN, 2 + line * _LINE), text, _TEXT, font)
    for place, label in enumerate(labels):
        offset = place * side + (side - label.height) // 2
        canvas.paste(label, (left - _MARGIN // 2 - label.width, top + offset))
        upright = label.rotate(90, expand=True)
        canvas.paste(upright, (left + offset, top - _MARGIN // 2 - upright.height))
    colours = colour_scale(shares, _BLUES).astype(np.uint8)
    for (row, column), count in np.ndenumerate(counts):
        corner = (left + column * side, top + row * side)
        ink = "white" if shares[row, column] > 0.5 else _TEXT
        _draw_cell(draw, corner, side, int(count), tuple(colours[row, column]), ink)
    return np.asarray(canvas)


def _most_confused(matrix: np.ndarray, count: int) -> list[int]:
    """The classes of the pairs that are confused most often, in their own order."""
    mistakes = matrix.copy()
    np.fill_diagonal(mistakes, 0)
    chosen: set[int] = set()
    for place in np.argsort(-mistakes, axis=None, kind="stable"):
        pair = {int(index) for index in np.unravel_index(place, matrix.shape)}
        if len(chosen | pair) > count:
            break
        chosen |= pair
    return sorted(chosen)


def _title(shown: int, total: int) -> tuple[str, str]:
    which = f"the {shown} most confused of {total:,} classes; " if shown < total else ""
    return (
        "row: the true class; column: what its images were taken for",
        f"{which}the darker, the larger their share of the row",
    )


def _label(name: str, side: int) -> Image.Image:
    """A class's name on white, as tall as a line of a cell."""
    text, font = fit_text(name, 170, 13 if side < 40 else 16)
    label = Image.new("RGB", (int(font.getlength(text)) + 2, min(side, _LINE)), "white")
    ImageDraw.Draw(label).text((0, label.height / 2), text, _TEXT, font, anchor="lm")
    return label


def _draw_cell(draw, corner, side, count, colour, ink):
    left, top = corner
    draw.rectangle((left, top, left + side, top + side), colour, _GRID)
    if count:
        text, font = fit_text(_short(count), side - 2)
        draw.text((left + side / 2, top + side / 2), text, ink, font, anchor="mm")


def _short(count: int) -> str:
    return str(count) if count < 10_000 else f"{count // 1000}k"
