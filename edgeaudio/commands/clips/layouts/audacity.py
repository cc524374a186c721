"""Audacity: a label track beside each sound (File > Import > Labels)."""

from __future__ import annotations

from pathlib import PurePath

from edgeaudio.clips.record import ClipRecord
from edgeaudio.commands.clips.layouts import Exported, Texts
from edgeaudio.label_tables import audacity_line


class Audacity:
    """Sounds under their own names, each with its label track."""

    wav = False
    tables: tuple[str, ...] = ()

    def place(self, record: ClipRecord) -> PurePath:
        return PurePath(record.sound.file).with_suffix("")

    def texts(self, exported: Exported) -> Texts:
        record = exported.record
        lines = [audacity_line(*exported.event_s, record.label)]
        for gap in record.gaps:
            at_s = min(gap.at / record.sound.sample_rate, exported.length_s)
            lines.append(audacity_line(at_s, at_s, f"gap: {gap.lost_s:g} s are missing"))
        return Texts(beside={".txt": "".join(lines)})
