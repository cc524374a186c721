"""Audacity: a label track beside each sound (File > Import > Labels).

A line is begin, end and text, with tabs between them; seconds have six digits behind the point, as in Audacity's own.
"""

from __future__ import annotations

from pathlib import PurePath

from edgeaudio.clips.record import ClipRecord
from edgeaudio.commands.clips.layouts import Exported, Texts, tabbed


class Audacity:
    """Sounds under their own names, each with its label track."""

    wav = False
    tables: tuple[str, ...] = ()

    def place(self, record: ClipRecord) -> PurePath:
        return PurePath(record.sound.file).with_suffix("")

    def texts(self, exported: Exported) -> Texts:
        record = exported.record
        lines = [_line(*exported.event_s, record.label)]
        for gap in record.gaps:
            at_s = min(gap.at / record.sound.sample_rate, exported.length_s)
            lines.append(_line(at_s, at_s, f"gap: {gap.lost_s:g} s are missing"))
        return Texts(beside={".txt": "".join(lines)})


def _line(begin_s: float, end_s: float, text: str) -> str:
    return tabbed(f"{begin_s:.6f}", f"{end_s:.6f}", text)
