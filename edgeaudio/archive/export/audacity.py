"""Audacity: a label track for each recording (File > Import > Labels)."""

from __future__ import annotations

from edgeaudio.archive.export import Context, Found
from edgeaudio.label_tables import audacity_line


class Audacity:
    """`a.wav.txt` for `a.wav`."""

    ending: str | None = ".txt"
    name = ""

    def __init__(self, _: Context) -> None:
        pass

    def head(self) -> str:
        return ""

    def line(self, found: Found, _: int) -> str:
        return audacity_line(*found.span_s, found.label)
