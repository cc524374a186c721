"""Which recordings are one recorder's, by their paths: what they have in common once the time is taken out.

Owns: which parts of a folder's path are a date. Does not know: files, lengths.

A part of the path is a date if it is written as one, the year first, and the time of every recording in the folder is
in it: `2024-06-01`, `SITE_20240601`, `2024/06/01/13`. A number of two digits is a month, a day or an hour only behind a
date that it goes on with: `01` and `02` elsewhere are two recorders.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from edgeaudio.archive.name_patterns import without_time

MASK: Final = "\0"  # in place of each digit of a date: no name of a file has it
_DIGITS: Final = 14  # of a time to the second
_BETWEEN = re.compile(r"[-_. T]", re.ASCII)
_DIGIT = re.compile(r"\d", re.ASCII)
_DAY = re.compile(r"(?<!\d)(?:19|20)\d\d([-_.]?)\d\d\1\d\d(?!\d)", re.ASCII)


def recorders_of(folder: str, recordings: Iterable[tuple[str, datetime]]) -> list[str]:
    """Return for each recording of a folder what stands for its recorder, in all folders.

    folder: Its path below the archive's root, with slashes.
    recordings: All of them: names in it, and beginnings in UTC.
    """
    kept: list[str] = []
    first, last = "9" * _DIGITS, ""
    for name, begins_at in recordings:
        rest, clock = without_time(name)
        clock = clock or f"{begins_at:%Y%m%d%H%M%S}"
        first, last = min(first, clock), max(last, clock)
        kept.append(sys.intern(rest))  # 100,000 have few
    place = _without_dates(folder, first, last)
    return [sys.intern(f"{place}/{rest}") for rest in kept]


def spans_folders(recorder: str) -> bool:
    """True if recordings of it may lie in other folders too."""
    return MASK in recorder


def _without_dates(folder: str, first: str, last: str) -> str:
    """Return the path with its dates masked; `first` and `last` are the digits of the times that are in it."""

    def holds(date: str) -> bool:  # what lies between the two does, too
        return len(date) <= _DIGITS and first.startswith(date) and last.startswith(date)

    parts = []
    known = ""  # the date that the part before ends
    for part in folder.split("/"):
        digits, date = _BETWEEN.sub("", part), ""
        begin, end = 0, len(part)
        if digits.isascii() and digits.isdigit() and len(digits) % 2 == 0:
            readings = [digits] if len(digits) >= 4 else []
            readings += [known + digits] if known else []
            readings += ["20" + digits] if len(digits) == 6 else []
            date = next(filter(holds, readings), "")
        if not date and (day := _DAY.search(part)) is not None and holds(_BETWEEN.sub("", day.group())):
            date = _BETWEEN.sub("", day.group())
            begin, end = day.span()
        parts.append(part[:begin] + _DIGIT.sub(MASK, part[begin:end]) + part[end:] if date else part)
        known = date
    return "/".join(parts)
