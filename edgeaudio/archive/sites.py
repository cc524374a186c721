"""Which site, recorder and depth a recording is from, by the beginning of its path: a CSV that a user writes.

Owns: the columns, their bounds, and that each wrong line is named. Does not know: results, what is asked of them.

    prefix,site,recorder,depth_m,latitude,longitude
    jetty/SM4-01,jetty,SM4-01,,53.891,9.138
    jetty/SM4-02,jetty,SM4-02,12.5,53.891,9.139
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgeaudio.errors import EdgeaudioError
from edgeaudio.files import read_regular

COLUMNS: Final = ("prefix", "site", "recorder", "depth_m", "latitude", "longitude")
_NEEDED: Final = ("prefix", "site")
_BOUNDS: Final = {"depth_m": (-9_000.0, 12_000.0), "latitude": (-90.0, 90.0), "longitude": (-180.0, 180.0)}
MOST_BYTES: Final = 4 << 20
MOST_LINES: Final = 20_000
MOST_CHARACTERS: Final = 500  # of a cell
_MOST_TOLD = 20
_END = re.compile(r"[^\W_]+|[\W_]")  # pieces of a path between which a prefix may end


class SitesError(EdgeaudioError):
    """A CSV of sites cannot be used."""


@dataclass(frozen=True, slots=True)
class Site:
    """What is known of the recordings under one prefix."""

    site: str
    recorder: str = ""
    depth_m: float | None = None  # below the surface; above it negative
    latitude: float | None = None
    longitude: float | None = None


class Sites:
    """Sites by the prefixes of recordings' paths; the longest that fits counts."""

    def __init__(self, by_prefix: Mapping[str, Site]) -> None:
        self._by_prefix = by_prefix

    def of(self, recording: str) -> Site | None:
        """Return the site of a path below the archive's root.

        A prefix ends where a folder or a part of a name does: `jetty/1` is none of `jetty/12/a.wav`.
        """
        found = self._by_prefix.get("")
        end = 0
        for piece in _END.findall(recording):
            end += len(piece)
            found = self._by_prefix.get(recording[:end], found)
        return found


def folder_of(recording: str) -> str:
    """Return the site of a recording where no CSV names it: its first folder, or "." without one."""
    head, slash, _ = recording.partition("/")
    return head if slash else "."


def read_sites(file: Path) -> Sites:
    """Return the sites of a CSV. Raises SitesError, a line for each line that is wrong."""
    try:
        content = read_regular(file, MOST_BYTES + 1)
    except OSError as error:
        raise SitesError(f"{file}: cannot be read: {error.strerror or error}") from None
    if len(content) > MOST_BYTES:
        raise SitesError(f"{file}: is larger than {MOST_BYTES >> 20} MiB; give the prefixes of folders, not each file")
    try:
        lines = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        head = [name.strip() for name in next(lines, [])]
        _require_columns(file, head)
        rows = [(lines.line_num, row) for row in lines if any(cell.strip() for cell in row)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise SitesError(f"{file}: is not CSV in UTF-8: {error}") from None
    if not rows:
        raise SitesError(f"{file}: names no site")
    if len(rows) > MOST_LINES:
        raise SitesError(f"{file}: has more than {MOST_LINES} lines; give the prefixes of folders, not each file")
    return Sites(_parsed(file, head, rows))


def _require_columns(file: Path, head: list[str]) -> None:
    known = ", ".join(COLUMNS)
    if unknown := [name for name in head if name not in COLUMNS]:
        raise SitesError(f"{file}: has a column {unknown[0][:60]!r}; its first line names some of {known}")
    if missing := [name for name in _NEEDED if head.count(name) != 1]:
        raise SitesError(f"{file}: must have one column {missing[0]}; its first line names some of {known}")
    if len(set(head)) != len(head):
        raise SitesError(f"{file}: has a column twice; its first line names some of {known}")


def _parsed(file: Path, head: list[str], rows: list[tuple[int, list[str]]]) -> dict[str, Site]:
    by_prefix: dict[str, Site] = {}
    wrong: list[str] = []
    for line, row in rows:
        try:
            prefix, site = _row(head, row)
        except ValueError as error:
            wrong.append(f"{file}:{line}: {error}")
            continue
        if prefix in by_prefix:
            wrong.append(f"{file}:{line}: the prefix {prefix!r} is in an earlier line")
        by_prefix[prefix] = site
    if wrong:
        more = [f"{file}: and {len(wrong) - _MOST_TOLD} more lines are wrong"] if len(wrong) > _MOST_TOLD else []
        raise SitesError("\n".join([*wrong[:_MOST_TOLD], *more]))
    return by_prefix


def _row(head: list[str], row: list[str]) -> tuple[str, Site]:
    """Return prefix and site of a line. Raises ValueError."""
    if len(row) != len(head):
        raise ValueError(f"has {len(row)} cells, and the first line {len(head)}")
    cells = {name: cell.strip() for name, cell in zip(head, row, strict=True)}
    for name, cell in cells.items():
        if len(cell) > MOST_CHARACTERS or not cell.isprintable():
            raise ValueError(f"{name} is longer than {MOST_CHARACTERS} characters, or holds one that is not printable")
    if not cells["site"]:
        raise ValueError("site is empty")
    prefix = cells["prefix"].removeprefix("./").rstrip("/")
    numbers = {name: _number(name, cells.get(name, "")) for name in _BOUNDS}
    if (numbers["latitude"] is None) != (numbers["longitude"] is None):
        raise ValueError("latitude and longitude are given together, or neither")
    return prefix, Site(cells["site"], cells.get("recorder", ""), **numbers)


def _number(name: str, cell: str) -> float | None:
    if not cell:
        return None
    least, most = _BOUNDS[name]
    try:
        value = float(cell)
    except ValueError:
        value = least - 1
    if not least <= value <= most:
        raise ValueError(f"{name} is {cell[:40]!r}, and must be a number from {least:g} to {most:g}")
    return value
