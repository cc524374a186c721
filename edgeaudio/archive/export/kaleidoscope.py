"""Kaleidoscope: one CSV of all recordings, with the columns of its own cluster.csv (File > Open results).

INDIR, FOLDER and IN FILE are the recording's path in three pieces. DATE, TIME and HOUR are those of the event, in UTC.
TOP1MATCH is what was heard; MANUAL ID is empty, for a person.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from edgeaudio.archive.export import Context, Found
from edgeaudio.label_tables import csv_line

COLUMNS = (
    "INDIR", "FOLDER", "IN FILE", "CHANNEL", "OFFSET", "DURATION", "DATE", "TIME", "HOUR", "TOP1MATCH", "MANUAL ID",
    "SCORE", "SITE", "MODEL",
)  # fmt: skip


class Kaleidoscope:
    """`kaleidoscope.csv`."""

    ending: str | None = None
    name = "kaleidoscope.csv"

    def __init__(self, context: Context) -> None:
        self._indir = context.recordings

    def head(self) -> str:
        return csv_line(COLUMNS)

    def line(self, found: Found, _: int) -> str:
        path, at = PurePosixPath(found.recording), found.begins_at
        folder = "" if str(path.parent) == "." else str(path.parent)
        begin_s, end_s = found.span_s
        where = (f"{begin_s:.3f}", f"{end_s - begin_s:.3f}")
        when = (f"{at:%Y-%m-%d}", f"{at:%H:%M:%S}", f"{at:%H}")
        what = (found.label, "", f"{found.score:.4f}", found.site.site, found.model)
        return csv_line([self._indir, folder, path.name, "0", *where, *when, *what])
