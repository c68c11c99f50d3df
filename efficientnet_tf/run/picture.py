"""Grids of images with a caption below each, as arrays for TensorBoard or a PNG file."""

import functools
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

_SMALLEST_SIDE = 112
_CAPTION_HEIGHT = 22
_FONT_SIZES = (16, 13, 11, 9)
_GAP = 4


def captioned_grid(images: np.ndarray, captions: Sequence[str], columns: int = 6) -> np.ndarray:
    """Images in rows of `columns`, each with its caption below.

    Args:
      images: [N, H, W, 3] in 0..255, any type; what lies outside is clipped. Images smaller than a
        thumbnail are enlarged by a whole factor.
      captions: N short strings of equally many lines; what does not fit is cut.

    Returns:
      uint8 [height, width, 3] on white.
    """
    factor = max(1, -(-_SMALLEST_SIDE // images.shape[2]))
    pixels = (
        np.clip(np.nan_to_num(images), 0, 255).astype(np.uint8).repeat(factor, 1).repeat(factor, 2)
    )
    lines = 1 + max(caption.count("\n") for caption in captions)
    largest = _FONT_SIZES[min(lines, 2) - 1]  # a smaller one for all, rather than one for each line
    cell_height = pixels.shape[1] + lines * _CAPTION_HEIGHT + _GAP
    cell_width = pixels.shape[2] + _GAP
    columns = min(columns, len(pixels))
    rows = -(-len(pixels) // columns)
    canvas = Image.new("RGB", (columns * cell_width - _GAP, rows * cell_height - _GAP), "white")
    draw = ImageDraw.Draw(canvas)
    for index, (image, caption) in enumerate(zip(pixels, captions, strict=True)):
        left, top = index % columns * cell_width, index // columns * cell_height
        canvas.paste(Image.fromarray(image), (left, top))
        for line, words in enumerate(caption.split("\n")):
            text, font = fit_text(words, pixels.shape[2], largest)
            below = top + pixels.shape[1] + 2 + line * _CAPTION_HEIGHT
            draw.text((left + 2, below), text, "black", font)
    return np.asarray(canvas)


def colour_scale(values: np.ndarray, colours: Sequence[str]) -> np.ndarray:
    """The colours of values in 0..1, between equidistant ones: float64 [..., 3] in 0..255.

    Args:
      colours: as Pillow names them, `#f7fbff`; that of 0 first.
    """
    stops = np.linspace(0, 1, len(colours))
    channels = np.transpose([ImageColor.getrgb(colour) for colour in colours])
    return np.stack([np.interp(values, stops, channel) for channel in channels], axis=-1)


_font = functools.cache(ImageFont.load_default)


def fit_text(
    text: str, width: int, largest: int = _FONT_SIZES[0]
) -> tuple[str, ImageFont.FreeTypeFont | ImageFont.ImageFont]:
    """The text and the largest font in which it fits a width in pixels, cut only in the smallest.

    Args:
      largest: size of the largest font.
    """
    sizes = [size for size in _FONT_SIZES if size <= largest]
    for size in sizes:
        font = _font(size)
        if font.getlength(text) <= width:
            return text, font
    font = _font(sizes[-1])
    while font.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…", font
