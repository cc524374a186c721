"""Tables, a progress bar and a spectrogram as text. Values in, lines out.

Owns: layout, and the characters for terminals that know Unicode and for those that do not.
Does not know: where values come from, or which stream the text goes to.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Literal, TextIO

import numpy as np
from numpy.typing import NDArray

from edgeaudio.terminal import one_line

Align = Literal["<", ">"]

_SHADES = " ░▒▓█"
_SHADES_ASCII = " .-+#"
_LEAST_COLUMN = 8  # width to which a column of long cells is narrowed where lines are folded
_BAR = ("█", "░")
_BAR_ASCII = ("#", ".")


def counted(count: int, noun: str) -> str:
    """Return a number and what is counted, "1 file" or "2 files": nouns whose plural ends in s."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def some_of(names: Sequence[str], most: int) -> str:
    """Return names as text, of many the first: "a, b and 3 more"."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def knows_unicode(stream: TextIO | None) -> bool:
    """True if block characters can be written to the stream."""
    try:
        "█░▒▓".encode((stream and stream.encoding) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def columns(rows: Sequence[Sequence[str]], align: Sequence[Align] = (), *, width: int | None = None) -> list[str]:
    """Return rows as lines with aligned columns; the last column is not padded, and may be missing.

    align: of each column; left by default. Lines longer than `width` are folded.
    """
    return ["".join(line) for line in table(rows, align, width=width)]


def table(
    rows: Sequence[Sequence[str]],
    align: Sequence[Align] = (),
    *,
    width: int | None = None,
    widths: Sequence[int] = (),
) -> list[list[str]]:
    """Return what `columns` does, each line in pieces, so that cells keep their style.

    widths: the least width of each column. Where lines are folded, the last column has half of `width`; a cell too
    long for an earlier column stands above the rest of its row.
    """
    shown = [[one_line(cell) for cell in row] for row in rows]
    n_columns = max((len(row) for row in rows), default=0)
    aligned = [*align, *"<" * n_columns][:n_columns]
    least = [*widths, *[0] * n_columns]
    filled = [max([least[i], *(cell_width(row[i]) for row in shown if i < len(row))]) for i in range(n_columns)]
    if width is not None and n_columns > 1:
        widest = max(range(n_columns - 1), key=filled.__getitem__)
        over = sum(filled[:-1]) + 2 * (n_columns - 1) - width // 2
        filled[widest] -= max(0, min(over, filled[widest] - _LEAST_COLUMN))
    lines: list[list[str]] = []
    for row in shown:
        while row and not row[-1]:
            row.pop()
        indent = sum(width + 2 for width in filled[: max(len(row) - 1, 0)])
        line: list[str] = []
        for i, cell in enumerate(row[:-1]):
            gap = " " * (filled[i] - cell_width(cell))
            line += [cell, gap, "  "] if aligned[i] == "<" else [gap, cell, "  "]
        if row:
            last = row[-1] if aligned[len(row) - 1] == "<" else pad(row[-1], filled[len(row) - 1], ">")
            first, *more = fold(last.split(" "), None if width is None else width - indent)
            if sum(map(cell_width, line)) > indent:
                lines.append(line[:-1])  # without the gap
                line = [" " * indent]
            line.append(row[-1] if first == row[-1] else first)
            lines += [line, *([" " * indent, rest] for rest in more)]
        else:
            lines.append(line)
    return lines


def fold(words: Sequence[str], room: int | None, gap: str = " ") -> list[str]:
    """Return the words in lines of at most `room` characters, at least 20; no word is cut."""
    lines: list[str] = []
    for word in words:
        longer = f"{lines[-1]}{gap}{word}" if lines else word
        if lines and (room is None or cell_width(longer) <= max(room, 20)):
            lines[-1] = longer
        else:
            lines.append(word)
    return lines or [""]


def pad(text: str, width: int, align: Align = "<") -> str:
    """Return the text with blanks up to a width."""
    blanks = " " * (width - cell_width(text))
    return text + blanks if align == "<" else blanks + text


def cell_width(text: str) -> int:
    """Return how many cells of a terminal the text takes: two for East Asian characters, none for accents."""
    if text.isascii():
        return len(text)
    return sum(
        0
        if unicodedata.category(character) in {"Mn", "Me", "Cf"}
        else 1 + (unicodedata.east_asian_width(character) in "WF")
        for character in text
    )


def clock_time(seconds: float) -> str:
    """Return a position in a recording as "1:02:03.45"; hours only where there are any."""
    minutes, hundredths = divmod(round(seconds * 100), 6000)
    hours, minutes = divmod(minutes, 60)
    text = f"{minutes:02d}:{hundredths // 100:02d}.{hundredths % 100:02d}"
    return f"{hours}:{text}" if hours else text


def decibels(level_dbfs: float | None) -> str:
    """Return a level as text; digital silence, which has no level, is the word."""
    return "silence" if level_dbfs is None else f"{level_dbfs:.1f} dBFS"


def progress_line(done: float, total: float, elapsed_s: float, width: int, *, unicode: bool = True) -> str:
    """Return a bar of at most `width` characters with the share done, and the time left after the first second."""
    share = min(max(done / total, 0.0), 1.0) if total > 0 else 1.0
    left = f" {clock_time(elapsed_s / share - elapsed_s)[:-3]} left" if share > 0 and elapsed_s >= 1 else ""
    tail = f" {share:4.0%}{left}"
    length = min(width - len(tail), 60)
    if length < 3:
        return tail.strip()[: max(width, 0)]
    full, empty = _BAR if unicode else _BAR_ASCII
    filled = int(share * length)
    return full * filled + empty * (length - filled) + tail


def picture(
    levels: NDArray[np.float32], frequencies_hz: Sequence[float], bounds: tuple[str, str], *, unicode: bool = True
) -> list[str]:
    """Return a spectrogram of characters: time to the right, frequency upwards, darker is louder.

    levels: dBFS, `(n_bands, n_columns)`, the lowest band first; -inf where there is no energy at all.
    frequencies_hz: the centres of the bands, `(n_bands,)`.
    bounds: the labels under the first and the last column.
    The shades span the 60 dB under the loudest cell.
    """
    shades = _SHADES if unicode else _SHADES_ASCII
    peak = float(levels.max(initial=-np.inf))
    if not np.isfinite(peak):
        return ["(nothing but digital silence)"]
    steps = np.clip((levels - peak) / 60 + 1, 0, 1) * (len(shades) - 1)
    indices = np.rint(steps).astype(int)
    names = [_frequency(frequency) for frequency in frequencies_hz]
    width = picture_margin(frequencies_hz) - 2
    lines = [
        f"{names[band]:>{width}} |" + "".join(shades[i] for i in indices[band]) for band in reversed(range(len(names)))
    ]
    n_columns = levels.shape[1]
    lines.append(" " * width + f" +{'-' * n_columns}")
    begin, end = bounds
    lines.append(" " * width + "  " + begin.ljust(n_columns - len(end)) + end)
    lines.append(" " * width + f"  {shades[1]} {peak - 45:.0f}  {shades[-1]} {peak:.0f} dBFS")
    return lines


def picture_margin(frequencies_hz: Sequence[float]) -> int:
    """Return how many characters wider a picture is than its columns."""
    return max(len(_frequency(frequency)) for frequency in frequencies_hz) + 2


def _frequency(hertz: float) -> str:
    return f"{hertz / 1000:.3g} kHz" if hertz >= 1000 else f"{hertz:.0f} Hz"
