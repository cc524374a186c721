"""The table of clips and pictures, in the dashboard's database.

Owns: its statements. Does not know: the files themselves (folder.py), what has to go (archive.py), MQTT.

Rows are numbered as they come: the oldest are the lowest. Methods that are given a connection work in its transaction.
Every method raises DatabaseError.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from edgeaudio.dashboard.database import Connection, Database
from edgeaudio.dashboard.media.wire import BY_SUFFIX, MediaKind, MediaType

SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS media (
        number INTEGER PRIMARY KEY, device TEXT NOT NULL, source TEXT NOT NULL, id TEXT NOT NULL, kind TEXT NOT NULL,
        file TEXT NOT NULL, bytes INTEGER NOT NULL, plot_left REAL, plot_right REAL, received_ms INTEGER NOT NULL,
        UNIQUE (device, source, id, kind))""",
    "CREATE INDEX IF NOT EXISTS media_by_device ON media (device, number)",
)
_COLUMNS: Final = "file, bytes, plot_left, plot_right"
# `reviewed` is a view of reviews.py
_IS_REVIEWED: Final = """EXISTS (SELECT 1 FROM reviewed WHERE reviewed.device = media.device
    AND reviewed.source = media.source AND reviewed.id = media.id)"""
EventKey: TypeAlias = tuple[str, str, str]  # device, source, id


@dataclass(frozen=True, slots=True)
class StoredMedium:
    """A file that is kept."""

    file: str  # its name in the folder
    bytes: int
    plot: tuple[float, float] | None

    @property
    def type(self) -> MediaType | None:
        """Its type; None: somebody has changed the database."""
        return BY_SUFFIX.get(self.file.rpartition(".")[2])


@dataclass(frozen=True, slots=True)
class Row:
    """What is needed to let a file go."""

    number: int
    device: str
    file: str
    bytes: int


class MediaStore:
    """The table."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def find(self, event: EventKey, kind: MediaKind) -> StoredMedium | None:
        """Return what is kept of an event; None: nothing of this kind."""
        return self.media_of([event]).get(event, {}).get(kind)

    def media_of(self, events: Iterable[EventKey]) -> dict[EventKey, dict[MediaKind, StoredMedium]]:
        """Return what is kept of each event, if anything is."""
        query = f"SELECT kind, {_COLUMNS} FROM media WHERE device = ? AND source = ? AND id = ?"  # noqa: S608 - a constant
        with self.database.reading() as db:
            found = {event: {kind: _stored(row) for kind, *row in db.execute(query, event)} for event in events}
        return {event: media for event, media in found.items() if media}

    def rows(self) -> list[Row]:
        """Return all rows, the oldest first."""
        with self.database.reading() as db:
            return [Row(*row) for row in db.execute("SELECT number, device, file, bytes FROM media ORDER BY number")]

    def oldest(self, device: str, limit: int) -> list[Row]:
        """Return what is to go first of a device: the oldest rows, those of reviewed events after all others."""
        query = (
            "SELECT number, device, file, bytes FROM media "  # noqa: S608 - constants
            f"WHERE device = ? AND ? = {_IS_REVIEWED} ORDER BY number LIMIT ?"
        )
        with self.database.reading() as db:
            rows = [Row(*row) for row in db.execute(query, (device, 0, limit))]
            if len(rows) < limit:
                rows += [Row(*row) for row in db.execute(query, (device, 1, limit - len(rows)))]
        return rows

    def older(self, oldest_ms: int, limit: int) -> list[Row]:
        """Return the rows before the first that came at this time or later, the oldest first, no reviewed event's.

        A clock that was wrong for a while must not take younger ones with it.
        """
        query = (
            "SELECT number, device, file, bytes FROM media WHERE number < coalesce("  # noqa: S608 - constants
            "(SELECT number FROM media WHERE received_ms >= ? ORDER BY number LIMIT 1), 9223372036854775807) "
            f"AND NOT {_IS_REVIEWED} ORDER BY number LIMIT ?"
        )
        with self.database.reading() as db:
            return [Row(*row) for row in db.execute(query, (oldest_ms, limit))]

    def redate(self, now_ms: int) -> None:
        """Take what came by a clock that was ahead for what comes now, so that it goes in time after all."""
        with self.database.writing() as db:
            db.execute("UPDATE media SET received_ms = ? WHERE received_ms > ?", (now_ms, now_ms))

    def add(self, event: EventKey, kind: MediaKind, medium: StoredMedium, received_ms: int) -> None:
        """Insert a row; of an event and kind there is one."""
        left, right = medium.plot or (None, None)
        with self.database.writing() as db:
            db.execute(
                "INSERT INTO media VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*event, kind, medium.file, medium.bytes, left, right, received_ms),
            )

    def delete(self, rows: Sequence[Row]) -> None:
        with self.database.writing() as db:
            _delete(db, rows)


def _stored(row: Sequence[Any]) -> StoredMedium:
    file, n_bytes, left, right = row
    return StoredMedium(file, n_bytes, None if left is None else (left, right))


def _delete(db: Connection, rows: Sequence[Row]) -> None:
    db.executemany("DELETE FROM media WHERE number = ?", [(row.number,) for row in rows])
