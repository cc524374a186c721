"""When recordings begin, with what the user says of them: the zone of their recorder's clock, and a table.

Owns: opening the files that say it. Does not know: what they say (start_times.py, begins_csv.py).
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from edgeaudio.archive.begins_csv import read_begins
from edgeaudio.archive.recordings import BeginsAt
from edgeaudio.archive.start_times import beginning
from edgeaudio.archive.written_times import zone_of
from edgeaudio.errors import EdgeaudioError
from edgeaudio.files import open_at_once


def beginnings(zone: str | None, table: Path | None) -> BeginsAt:
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

    def begins_at(name: str, path: Path) -> datetime:
        if name in given:
            return given[name]
        with os.fdopen(open_at_once(path), "rb") as file:
            return beginning(name, file, now, zone=clock).begins_at

    return begins_at
