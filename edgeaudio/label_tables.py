"""Lines of the tables in which other programs read what was heard when: Raven, Audacity, spreadsheets.

Owns: columns, digits, and what of a text may stand in a cell. Does not know: where times come from, where files lie.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from typing import Final

from edgeaudio.terminal import one_line

RAVEN_COLUMNS: Final = (
    "Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)",
)  # fmt: skip
"""The first columns of a selection table, as Raven Pro writes them."""

_FORMULA = ("=", "+", "-", "@")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def tabbed(*cells: str) -> str:
    """Return a line of a table with tabs.

    Audacity and Raven quote nothing; those that read their files elsewhere (pandas, R) take a quotation mark for the
    beginning of a field that may hold tabs and lines.
    """
    return "\t".join(one_line(cell).replace('"', "'") for cell in cells) + "\n"


def audacity_line(begin_s: float, end_s: float, text: str) -> str:
    """Return a line of a label track; seconds have six digits behind the point, as in Audacity's own."""
    return tabbed(f"{begin_s:.6f}", f"{end_s:.6f}", text)


def raven_cells(selection: int, begin_s: float, end_s: float, high_hz: float) -> tuple[str, ...]:
    """Return the cells under RAVEN_COLUMNS: all frequencies of the first channel."""
    times = (f"{begin_s:.9f}", f"{end_s:.9f}")
    return (str(selection), "Spectrogram 1", "1", *times, "0.000", f"{high_hz:.3f}")


def csv_line(cells: Iterable[str | float | None]) -> str:
    """Return a line of a CSV; a number is written as it is, None as nothing, and no text is taken for a formula."""
    text = io.StringIO()
    csv.writer(text).writerow([_cell(cell) if isinstance(cell, str) else cell for cell in cells])
    return text.getvalue()


def _cell(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    line = one_line(text)
    return f"'{line}" if line.startswith(_FORMULA) and not _NUMBER.fullmatch(line) else line
