"""When recordings begin, by what the user has said besides: a time zone.

Owns: reading each file's beginning. Does not know: names and metadata (start_times.py).
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from edgeaudio.archive.recordings import BeginsAt
from edgeaudio.archive.start_times import beginning
from edgeaudio.archive.written_times import zone_of


def beginnings(zone: str | None) -> BeginsAt:
    """Return what tells when a recording begins. Raises EdgeaudioError for a zone that does not exist."""
    clock = None if zone is None else zone_of(zone)
    now = datetime.now(UTC)

    def begins_at(name: str, path: Path) -> datetime:
        with path.open("rb") as file:
            return beginning(name, file, now, zone=clock).begins_at

    return begins_at
