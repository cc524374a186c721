"""What people see in a terminal: tables, a progress line, a picture of sound. Values in, text out.

Owns: layout, and the characters for terminals that know Unicode and for those that do not.
Does not know: where values come from, or which stream the text goes to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TextIO

import numpy as np
from numpy.typing import NDArray

from edgeaudio.terminal import one_line

Align = Literal["<", ">"]

_SHADES = " ░▒▓█"
_SHADES_ASCII = " .-+#"
_BAR = ("█", "░")
_BAR_ASCII = ("#", ".")


def knows_unicode(stream: TextIO | None) -> bool:
    """Whether block characters can be written to the stream."""
    try:
        "█░▒▓".encode((stream and stream.encoding) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def columns(rows: Sequence[Sequence[str]], align: Sequence[Align] = ()) -> list[str]:
    """Rows as lines whose columns stand under each other; the last column is not padded, and may be missing.

    `align` says how each column is aligned, left where it says nothing.
    """
    rows = [[one_line(cell) for cell in row] for row in rows]
    n_columns = max((len(row) for row in rows), default=0)
    aligned = [*align, *"<" * n_columns][:n_columns]
    widths = [max((len(row[i]) for row in rows if i < len(row)), default=0) for i in range(n_columns)]
    return ["  ".join(f"{cell:{aligned[i]}{widths[i]}}" for i, cell in enumerate(row)).rstrip() for row in rows]


def clock_time(seconds: float) -> str:
    """A place in a recording: "1:02:03.45"; hours only where there are any."""
    minutes, hundredths = divmod(round(seconds * 100), 6000)
    hours, minutes = divmod(minutes, 60)
    text = f"{minutes:02d}:{hundredths // 100:02d}.{hundredths % 100:02d}"
    return f"{hours}:{text}" if hours else text


def decibels(level_dbfs: float | None) -> str:
    """A level for people; digital silence is a word, for it has no number."""
    return "silence" if level_dbfs is None else f"{level_dbfs:.1f} dBFS"


def progress_line(done: float, total: float, elapsed_s: float, width: int, *, unicode: bool = True) -> str:
    """A bar of at most `width` characters with the share done, and the time left once that can be told."""
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
    levels: NDArray[np.float32], frequencies_hz: Sequence[float], duration_s: float, *, unicode: bool = True
) -> list[str]:
    """A spectrogram of characters: time to the right, frequency upwards, darker is louder.

    levels: dBFS, `(n_bands, n_columns)`, the lowest band first; -inf where there is no energy at all.
    frequencies_hz: the centres of the bands, `(n_bands,)`.
    The shades span the 60 dB under the loudest cell.
    """
    shades = _SHADES if unicode else _SHADES_ASCII
    peak = float(levels.max(initial=-np.inf))
    if not np.isfinite(peak):
        return ["(nothing but digital silence)"]
    steps = np.clip((levels - peak) / 60 + 1, 0, 1) * (len(shades) - 1)
    indices = np.rint(steps).astype(int)
    names = [_frequency(frequency) for frequency in frequencies_hz]
    width = max(map(len, names))
    lines = [
        f"{names[band]:>{width}} |" + "".join(shades[i] for i in indices[band]) for band in reversed(range(len(names)))
    ]
    n_columns = levels.shape[1]
    lines.append(" " * width + f" +{'-' * n_columns}")
    lines.append(" " * width + f"  -{duration_s:.0f} s".ljust(n_columns + 1) + "0")
    lines.append(" " * width + f"  {shades[1]} {peak - 45:.0f}  {shades[-1]} {peak:.0f} dBFS")
    return lines


def _frequency(hertz: float) -> str:
    return f"{hertz / 1000:.3g} kHz" if hertz >= 1000 else f"{hertz:.0f} Hz"
