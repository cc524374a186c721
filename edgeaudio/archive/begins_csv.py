"""The user's table of beginnings: a CSV with the columns `file` and `begins_at`.

Owns: its form, its bounds and its errors, each with the line's number. Does not know: which recordings there are.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator
from datetime import datetime, tzinfo
from typing import BinaryIO

from edgeaudio.archive.written_times import NoSuchTimeError, StartTimeError, WrittenTime, iso_time
from edgeaudio.errors import EdgeaudioError

COLUMNS = ("file", "begins_at")
MAX_LINE = 16_384  # bytes; the longest path has 4,096 bytes
MAX_LINES = 2_000_000


def read_begins(table: str, content: BinaryIO, now: datetime, zone: tzinfo | None = None) -> dict[str, datetime]:
    """Return the beginnings (UTC) by file: a path below the archive's folder, with slashes.

    Args:
        table: The table's name, for errors.
        content: CSV in UTF-8 (with a byte-order mark or without); its first line names the columns, in any order.
        now: Aware; bounds the years.
        zone: Of times without one.

    Raises EdgeaudioError for a table of another form, an unknown or a missing column, a time that does not exist or
    has no zone, and a file that is named twice: one line, with the line's number.
    """
    begins: dict[str, datetime] = {}
    first_lines: dict[str, int] = {}
    reader = csv.reader(_lines(table, content), strict=True)
    try:
        columns = _columns(table, next(reader, []))
        for values in reader:
            if not values:
                continue  # an empty line
            where = f"{table}:{reader.line_num}"
            if len(values) != len(columns):
                raise EdgeaudioError(f"{where}: has {len(values)} values for {len(columns)} columns")
            row = dict(zip(columns, (value.strip() for value in values), strict=True))
            file = _file(where, row["file"])
            if file in begins:
                raise EdgeaudioError(f"{where}: {file!r} is in line {first_lines[file]} too; give each file once")
            begins[file] = _begins_at(where, row["begins_at"], now, zone)
            first_lines[file] = reader.line_num
    except csv.Error as error:
        raise EdgeaudioError(f"{table}:{reader.line_num}: is not CSV: {error}") from None
    if not begins:
        raise EdgeaudioError(f"{table}: names no recording")
    return begins


def _lines(table: str, content: BinaryIO) -> Iterator[str]:
    for count in itertools.count(1):
        try:
            line = content.readline(MAX_LINE)
        except OSError as error:
            raise EdgeaudioError(f"{table}: cannot be read: {error.strerror}") from None
        if not line:
            return
        if len(line) >= MAX_LINE or count > MAX_LINES:
            bound = f"{MAX_LINES:,} lines" if count > MAX_LINES else f"{MAX_LINE:,} bytes in a line"
            raise EdgeaudioError(f"{table}:{count}: has more than {bound}; is it the right file?")
        try:
            yield line.decode("utf-8-sig" if count == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise EdgeaudioError(f"{table}:{count}: is not UTF-8 ({error.reason}); save it as CSV in UTF-8") from None


def _columns(table: str, names: list[str]) -> list[str]:
    columns = [name.strip() for name in names]
    for column in columns:
        if column not in COLUMNS:
            known = f"the columns are {' and '.join(COLUMNS)}, with a comma between"
            raise EdgeaudioError(f"{table}:1: column {column[:40]!r} is unknown; {known}")
    if sorted(columns) != sorted(COLUMNS):
        raise EdgeaudioError(f"{table}:1: the first line must name the columns {' and '.join(COLUMNS)}, once each")
    return columns


def _file(where: str, file: str) -> str:
    name = file.removeprefix("./")
    if not name or "\0" in name or name.startswith("/") or ".." in name.split("/"):
        raise EdgeaudioError(f"{where}: file {file[:99]!r} is no path below the archive's folder, such as site/a.wav")
    return name


def _begins_at(where: str, text: str, now: datetime, zone: tzinfo | None) -> datetime:
    try:
        return WrittenTime(iso_time(text, now), "begins_at").utc(zone)
    except (NoSuchTimeError, StartTimeError) as error:
        raise EdgeaudioError(f"{where}: {error}") from None
