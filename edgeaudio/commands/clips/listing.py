"""`edgeaudio clips list`: a line for each clip."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgeaudio.clips.library import Clip, ClipLibrary
from edgeaudio.commands.clips.choice import Filters, filtered
from edgeaudio.commands.clips.shown import json_line, length_s
from edgeaudio.commands.clips.times import local_text
from edgeaudio.commands.troubles import Troubles
from edgeaudio.console import Align, cell_width, table
from edgeaudio.terminal import faint, one_line, print_error, print_out

HEADER = ("when", "source", "label", "score", "length", "kept", "id")
ALIGN: tuple[Align, ...] = ("<", "<", "<", ">", ">", "<", "<")
ID_LENGTH = 8  # of an id, which begins those of no two clips but by accident; --json has all of it
MAX_CELLS = 32  # of a label or a source; --json has all of it
PAGE = 1000  # rows whose columns are aligned together; those after them are at least as wide


def list_clips(folder: Path, filters: Filters, *, as_json: bool) -> int:
    """Print the clips that pass, newest first; 2 if records or sounds are broken. Raises EdgeaudioError."""
    troubles = Troubles()
    clips = filtered(ClipLibrary(folder), filters, troubles)
    count = 0
    if as_json:
        for clip in clips:
            count += 1
            print_out(json_line(clip))
    else:
        page = _Page()
        for clip in clips:
            count += 1
            page.add(clip)
        page.flush()
    if count == 0:
        print_error("edgeaudio: no clips")
    return troubles.status()


class _Page:
    """Rows that are printed together: a table of all would be all of it in memory."""

    def __init__(self) -> None:
        self._rows: list[Sequence[str]] = []
        self._widths = [0] * len(HEADER)

    def add(self, clip: Clip) -> None:
        if not self._rows and not any(self._widths):
            self._rows.append([faint(name) for name in HEADER])
        record = clip.record
        row = (
            local_text(record.onset),
            _cut(record.source),
            _cut(record.label),
            f"{record.score:.2f}",
            f"{length_s(record):.1f} s",
            "kept" if record.review.keep else "",
            record.id[:ID_LENGTH],
        )
        self._rows.append(row)
        if len(self._rows) >= PAGE:
            self.flush()

    def flush(self) -> None:
        for row in self._rows:
            for i, cell in enumerate(row):
                self._widths[i] = max(self._widths[i], cell_width(one_line(cell)))
        for line in table(self._rows, ALIGN, widths=self._widths):
            print_out(*line)
        self._rows = []


def _cut(text: str) -> str:
    """Return the beginning of a text, so that no label takes the place of all the other columns."""
    line = one_line(text)
    if cell_width(line) <= MAX_CELLS:
        return line
    end = next(end for end in range(MAX_CELLS, 0, -1) if cell_width(line[:end]) <= MAX_CELLS - 3)
    return f"{line[:end]}..."
