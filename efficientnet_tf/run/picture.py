"""Grids of images with a caption below each, as arrays for TensorBoard or a PNG file."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_SMALLEST_SIDE = 112
_CAPTION_HEIGHT = 22
_FONT_SIZES = (16, 13, 11, 9)
_GAP = 4


def captioned_grid(images: np.ndarray, captions: Sequence[str], columns: int = 6) -> np.ndarray:
    """Images in rows of `columns`, each with its caption below.

    Args:
      images: [N, H, W, 3] in 0..255, any type; what lies outside is clipped. Images smaller than a
        thumbnail are enlarged by a whole factor.
      captions: N short strings; what does not fit is cut.

    Returns:
      uint8 [height, width, 3] on white.
    """
    factor = max(1, -(-_SMALLEST_SIDE // images.shape[2]))
    pixels = np.clip(images, 0, 255).astype(np.uint8).repeat(factor, 1).repeat(factor, 2)
    cell_height = pixels.shape[1] + _CAPTION_HEIGHT + _GAP
    cell_width = pixels.shape[2] + _GAP
    columns = min(columns, len(pixels))
    rows = -(-len(pixels) // columns)
    canvas = Image.new("RGB", (columns * cell_width - _GAP, rows * cell_height - _GAP), "white")
    draw = ImageDraw.Draw(canvas)
    for index, (image, caption) in enumerate(zip(pixels, captions, strict=True)):
        left, top = index % columns * cell_width, index // columns * cell_height
        canvas.paste(Image.fromarray(image), (left, top))
        text, font = _fit(caption, pixels.shape[2])
        draw.text((left + 2, top + pixels.shape[1] + 2), text, "black", font)
    return np.asarray(canvas)


def _fit(caption, width):
    """The caption in the largest font in which it fits, cut only in the smallest."""
    for size in _FONT_SIZES:
        font = ImageFont.load_default(size)
        if font.getlength(caption) <= width:
            return caption, font
    font = ImageFont.load_default(_FONT_SIZES[-1])
    while font.getlength(caption) > width:
        caption = caption[:-1]
    return caption, font
