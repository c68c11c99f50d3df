"""How the charts look: one style, colours that the colour-blind can tell apart, PNG files."""

import contextlib
import importlib.util
import io
from collections.abc import Iterator, Sequence
from typing import Any

from PIL import Image

from efficientnet_tf.config import UserError

# Okabe and Ito's palette.
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PINK, GREY, BLACK = "#56B4E9", "#CC79A7", "#777777", "#000000"
# Of a way to scale: colour and marker, so that a chart can be read without colours too.
AXIS_STYLES = {
    "baseline": (GREY, "o"),
    "depth": (ORANGE, "s"),
    "width": (GREEN, "^"),
    "resolution": (PINK, "D"),
    "compound": (BLUE, "*"),
}
_STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "figure.dpi": 110,
    "savefig.dpi": 110,
}
# Inches: 990 pixels, what a page shows at its full width.
WIDTH = 9.0


def check() -> None:
    """Raises a `UserError` where charts and statistics lack a library; before anything is done."""
    missing = [name for name in ("matplotlib", "scipy") if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(
            f"--mode=study needs {' and '.join(missing)}: pip install 'efficientnet-tf[plots]'"
        )


@contextlib.contextmanager
def style() -> Iterator[None]:
    """The common style, for the functions that it decorates."""
    import matplotlib

    with matplotlib.rc_context(_STYLE):
        yield


def subplots(
    columns: int = 1,
    height: float = 3.6,
    *,
    rows: int = 1,
    width: float = WIDTH,
    **options: Any,
) -> tuple[Any, Any]:
    """A figure of charts side by side, or in rows, and its axes.

    The figure has no window and belongs to nobody else: it ends with its last reference.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    return figure, figure.subplots(rows, columns, **options)


def png(figure: Any, is_photographic: bool = False) -> bytes:
    """The picture as the content of a file.

    Args:
      is_photographic: keep all colours, and not 256, which are a third of the bytes.
    """
    drawn, file = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png")
    picture = Image.open(drawn).convert("RGB")
    if not is_photographic:
        picture = picture.quantize(dither=Image.Dither.NONE)
    picture.save(file, format="png", optimize=True)
    return file.getvalue()


def label_points(axes: Any, points: Sequence[tuple[float, float, str, str]]) -> None:
    """Writes a name beside each point where it covers no other name, as far as there is room.

    Args:
      points: x, y, name and colour, in the units of the axes, whose limits are final.
    """
    places = [axes.transData.transform((x, y)) for x, y, _, _ in points]
    taken = [(left - 3, bottom - 3, left + 3, bottom + 3) for left, bottom in places]
    for (x, y, name, color), (left, bottom) in zip(points, places, strict=True):
        width = _CHARACTER * len(name)
        offsets = [(u * width + v, w) for u, v, w in _OFFSETS]
        boxes = [(left + u, bottom + v, left + u + width, bottom + v + 10) for u, v in offsets]
        free = (i for i, box in enumerate(boxes) if not any(_overlap(box, b) for b in taken))
        index = next(free, 0)
        taken.append(boxes[index])
        axes.annotate(
            name, (x, y), xytext=offsets[index], textcoords="offset pixels", fontsize=7, color=color
        )


# Pixels of a character, about; and from a point to the left lower corner of its name, the best
# place first: the first number is in widths of the name.
_CHARACTER = 6.3
_OFFSETS = (
    (0, 6, -4), (0, 6, 5), (0, 6, -13), (-1, -6, -4), (-1, -6, 5), (-1, -6, -13),
    (-0.5, 0, 7), (-0.5, 0, -17),
)  # fmt: skip


def _overlap(a: tuple, b: tuple) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
