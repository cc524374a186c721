"""When recordings begin, with what the user says of them: the zone of their recorder's clock, and a table.

Owns: opening the files that say it, and which lines of the table were of no use. Does not know: what they say
(start_times.py, begins_csv.py).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from pathlib import Path

from edgeaudio.archive.begins_csv import read_begins
from edgeaudio.archive.start_times import beginning
from edgeaudio.archive.written_times import zone_of
from edgeaudio.errors import EdgeaudioError
from edgeaudio.files import open_at_once


class Beginnings:
    """What tells when a recording begins; call it with its path below the root, and where it lies."""

    def __init__(self, now: datetime, zone: tzinfo | None, given: Mapping[str, datetime]) -> None:
        """`given`: what the user's table says, by path."""
        self._now = now
        self._zone = zone
        self._given = given
        self._unused = dict.fromkeys(given)  # in the table's order

    def __call__(self, name: str, path: Path) -> datetime:
        if (given := self._given.get(name)) is not None:
            self._unused.pop(name, None)
            return given
        with os.fdopen(open_at_once(path), "rb") as file:
            return beginning(name, file, self._now, zone=self._zone).begins_at

    def unused(self) -> list[str]:
        """Return the paths of the table that nobody asked for, in its order."""
        return list(self._unused)


def beginnings(zone: str | None, table: Path | None) -> Beginnings:
    """Return what tells when a recording begins. Raises EdgeaudioError for a zone or a table that is wrong."""
    clock = None if zone is None else zone_of(zone)
    now = datetime.now(UTC)
    given: dict[str, datetime] = {}
    if table is not None:
        try:
            with table.open("rb") as content:
                given = read_begins(str(table), content, now, clock)
        except OSError as error:
            raise EdgeaudioError(f"{table}: cannot be read: {error.strerror}; name a CSV file") from None
    return Beginnings(now, clock, given)
