"""Pixels, lines, text and image formats: all that is known of Pillow.

Owns: the only import of Pillow, its built-in font, and what of a text that font can show.
Does not know: what is drawn.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from edgeaudio.extras import installing
from edgeaudio.pictures.options import ImageFormat, PictureError
from edgeaudio.terminal import one_line

try:
    from PIL import Image, ImageDraw, ImageFont, features

    _missing = "" if features.check("freetype2") else "it is built without FreeType"
except ImportError as problem:
    _missing = " ".join(str(problem).split())

Colour = tuple[int, int, int]

_MAX_TEXT = 200  # characters that are looked at
_ELLIPSIS = "…"
_NO_CHARACTER = "\uffff"  # the font shows its box for a missing glyph


def require_pillow() -> None:
    """Raise PictureError if nothing can be drawn, for Pillow is not there."""
    if _missing:
        raise PictureError(f"pictures need Pillow ({_missing}): {installing('pictures')}")


@lru_cache(maxsize=4)
def _font(text_px: float) -> tuple[ImageFont.FreeTypeFont, bytes]:
    """Return the font, and its box for a missing glyph."""
    font = ImageFont.load_default(text_px)
    assert isinstance(font, ImageFont.FreeTypeFont)  # noqa: S101 (with a size it is, as FreeType is there)
    return font, bytes(font.getmask(_NO_CHARACTER))


class Canvas:
    """A picture that is being drawn. Places are pixels from the upper left; text has one size."""

    def __init__(self, width: int, height: int, background: Colour, text_px: float) -> None:
        require_pillow()
        self.width, self.height = width, height
        self._image = Image.new("RGB", (width, height), background)
        self._draw = ImageDraw.Draw(self._image)
        self._font, self._box = _font(text_px)
        _, self._digit_top, _, bottom = self._font.getbbox("0")
        self.digit_height = round(bottom - self._digit_top)

    def text_width(self, text: str) -> float:
        """Return the width of a text in pixels."""
        return self._font.getlength(text)

    def text(self, x: float, y: float, text: str, colour: Colour) -> None:
        """Write a line of text; `y` is the upper edge of its digits."""
        # at a fraction of a pixel Pillow cuts the upper edge of some texts off
        self._draw.text((x, round(y - self._digit_top)), text, colour, self._font)

    def fitted(self, text: str, width: float) -> str:
        """Return the text as one line that the font can show, cut with an ellipsis to a width in pixels.

        A letter that the font lacks is its base letter (e for é); without one it is a box.
        """
        line = "".join(map(self._known, one_line(text[:_MAX_TEXT])))
        if len(text) <= _MAX_TEXT and self.text_width(line) <= width:
            return line
        while line and self.text_width(line + _ELLIPSIS) > width:
            line = line[:-1]
        return line.rstrip() + _ELLIPSIS if line else ""

    def _known(self, character: str) -> str:
        if character.isascii() or bytes(self._font.getmask(character)) != self._box:
            return character
        base = unicodedata.normalize("NFKD", character)
        bases = "".join(part for part in base if not unicodedata.combining(part))
        return bases if bases.isascii() and bases else character if not unicodedata.combining(character) else ""

    def line(self, x0: float, y0: float, x1: float, y1: float, colour: Colour, width: int = 1) -> None:
        """Draw a straight line."""
        self._draw.line((x0, y0, x1, y1), colour, width)

    def rectangle(self, x0: float, y0: float, x1: float, y1: float, colour: Colour) -> None:
        """Fill a rectangle, its last column and row included."""
        if x1 >= x0 and y1 >= y0:
            self._draw.rectangle((x0, y0, x1, y1), colour)

    def paste(self, x: int, y: int, pixels: NDArray[np.uint8]) -> None:
        """Put RGB pixels `(height, width, 3)` there."""
        self._image.paste(Image.fromarray(np.ascontiguousarray(pixels)), (x, y))

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The picture as it is now, RGB `(height, width, 3)`."""
        return np.asarray(self._image)

    def encoded(self, image_format: ImageFormat, quality: int) -> bytes:
        """Return the picture as a file; `quality`: of JPEG and WebP from 1 to 100, of PNG its colours, 256: all."""
        file = BytesIO()
        if image_format == "png":
            image = self._image if quality >= 256 else self._image.quantize(quality)
            image.save(file, "png")
        elif image_format == "webp":
            self._image.save(file, "webp", quality=quality, method=4)
        else:  # without subsampling, which blurs coloured text
            self._image.save(file, "jpeg", quality=quality, subsampling=0, optimize=True)
        return file.getvalue()
