"""Colours of what is around a spectrogram: dark, or white for print."""

from __future__ import annotations

from dataclasses import dataclass

from edgeaudio.pictures.canvas import Colour
from edgeaudio.pictures.palettes import PaletteName


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours beside those of a palette."""

    background: Colour
    text: Colour
    line: Colour
    mark: Colour
    gap: tuple[Colour, Colour]  # stripes


_DARK = Theme((14, 14, 18), (222, 222, 226), (110, 110, 118), (255, 255, 255), ((52, 54, 62), (38, 40, 46)))
_LIGHT = Theme((255, 255, 255), (30, 30, 34), (150, 150, 156), (196, 30, 30), ((206, 214, 230), (228, 233, 243)))


def theme_of(name: PaletteName) -> Theme:
    """Return the theme that goes with a palette."""
    return _LIGHT if name == "grey" else _DARK
