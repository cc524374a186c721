"""Raven: a selection table for each recording (File > Open Selection Table, with the recording open).

Rows know no frequencies: a selection has those that the model listens to.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from edgeaudio.archive.export import Context, Found
from edgeaudio.clock import timestamp
from edgeaudio.label_tables import RAVEN_COLUMNS, raven_cells, tabbed

COLUMNS = (*RAVEN_COLUMNS, "Begin File", "File Offset (s)", "Annotation", "Score", "Begin (UTC)", "Site")


class Raven:
    """`a.wav.selections.txt` for `a.wav`."""

    ending: str | None = ".selections.txt"
    name = ""

    def __init__(self, context: Context) -> None:
        self._high_hz = context.high_hz

    def head(self) -> str:
        return tabbed(*COLUMNS)

    def line(self, found: Found, number: int) -> str:
        begin_s, end_s = found.span_s
        return tabbed(
            *raven_cells(number, begin_s, end_s, self._high_hz),
            PurePosixPath(found.recording).name,
            f"{begin_s:.9f}",
            found.label,
            f"{found.score:.4f}",
            timestamp(found.begins_at),
            found.site.site,
        )
