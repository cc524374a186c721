"""Raven: a selection table (File > Open Selection Table), which opens the sounds as one sequence.

Columns are those of Raven Pro's own tables, and times as the R package Rraven has them for it: `Begin Time (s)` counts
from the beginning of the sequence, `File Offset (s)` from that of the file. The files of a sequence have one rate and
one number of channels, so there is a table for each of these.
"""

from __future__ import annotations

from pathlib import PurePath

from edgeaudio.clips.record import ClipRecord
from edgeaudio.clock import timestamp
from edgeaudio.commands.clips.layouts import Exported, Row, Texts
from edgeaudio.label_tables import RAVEN_COLUMNS, raven_cells, tabbed

COLUMNS = (
    *RAVEN_COLUMNS, "Begin Path", "File Offset (s)", "Begin File", "Annotation", "Score", "Source", "Onset (UTC)", "Id",
)  # fmt: skip


class Raven:
    """Sounds under their own names, and a selection table for each format."""

    wav = True
    tables: tuple[str, ...] = ("selections_*.txt",)

    def __init__(self) -> None:
        self._rows: dict[str, int] = {}  # of each table
        self._counts: dict[str, int] = {}  # samples of its files so far

    def place(self, record: ClipRecord) -> PurePath:
        return PurePath(record.sound.file).with_suffix("")

    def texts(self, exported: Exported) -> Texts:
        record, sound = exported.record, exported.record.sound
        table = f"selections_{sound.sample_rate}hz_{sound.channels}ch.txt"
        begin_s = self._counts.get(table, 0) / sound.sample_rate
        self._counts[table] = self._counts.get(table, 0) + exported.count
        self._rows[table] = self._rows.get(table, 0) + 1
        onset_s, offset_s = exported.event_s
        # Opus has 48 kHz of any stream: above half of the stream's rate there is nothing
        high_hz = min(sound.sample_rate, record.origin.sample_rate) / 2
        cells = (
            *raven_cells(self._rows[table], begin_s + onset_s, begin_s + offset_s, high_hz),
            str(exported.file.absolute()),
            f"{onset_s:.9f}",
            exported.file.name,
            record.label,
            f"{record.score:.4f}",
            record.source,
            timestamp(record.onset),
            record.id,
        )
        return Texts(row=Row(table, tabbed(*COLUMNS), tabbed(*cells)))
