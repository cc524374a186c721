"""Sounds that were not detected, marked by somebody who watched or listened; and the labels that are known.

Owns: the table of missed sounds. Does not know: events (history.py), who may mark (web/), sound: an agent cuts no clip
after the fact.

They do not go with age: they are work of people. Every method raises DatabaseError.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from edgeaudio.dashboard.database import Database
from edgeaudio.dashboard.history import MAX_PAGE, Cursor, Filter

MAX_MISSED = 100_000
MAX_LABELS: Final = 300
SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS missed (
        number INTEGER PRIMARY KEY, device TEXT NOT NULL, source TEXT NOT NULL, label TEXT NOT NULL,
        begin_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL, reviewer TEXT NOT NULL, marked_ms INTEGER NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS missed_by_begin ON missed (begin_ms)",
    "CREATE INDEX IF NOT EXISTS missed_by_label ON missed (label)",
)
_COLUMNS: Final = "number, device, source, label, begin_ms, end_ms, reviewer, marked_ms"
# an event of the same source that holds all of it: its clip has the sound
_COVERED: Final = """(SELECT id FROM events INDEXED BY events_by_device WHERE device = missed.device
    AND source = missed.source AND begin_ms BETWEEN missed.begin_ms - ? AND missed.begin_ms
    AND end_ms >= missed.end_ms LIMIT 1)"""
_LONGEST_EVENT_MS: Final = 10 * 60 * 1000  # that is looked for
# from one label to the next by an index, and so without reading every event
_LABELS: Final = """WITH RECURSIVE
    known(label) AS (SELECT min({column}) FROM {table} WHERE {column} IS NOT NULL UNION ALL
        SELECT (SELECT min({column}) FROM {table} WHERE {column} > known.label) FROM known WHERE label IS NOT NULL
        LIMIT ?)
    SELECT label FROM known WHERE label IS NOT NULL"""


class FullError(ValueError):
    """There are too many already; one line."""


@dataclass(frozen=True, slots=True)
class MissedSound:
    """One of them."""

    number: int
    device: str
    source: str
    label: str
    begin_ms: int  # Unix time
    end_ms: int
    reviewer: str
    marked_ms: int
    covered_by: str | None = None  # the id of an event of its source that lasted all the while

    @property
    def cursor(self) -> Cursor:
        """Its place among the pages."""
        return Cursor(self.begin_ms, self.number)


@dataclass(frozen=True, slots=True)
class MissedPage:
    """Missed sounds from the newest to the oldest; `next`: where the next page begins, None: there is none."""

    sounds: tuple[MissedSound, ...]
    next: Cursor | None


class MissedSounds:
    """The table."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self, device: str, source: str, label: str, span_ms: tuple[int, int], reviewer: str, now_s: float
    ) -> MissedSound:
        """Add a sound. Raises FullError."""
        values = (device, source, label, *span_ms, reviewer, int(now_s * 1000))
        with self._database.writing() as db:
            (count,) = db.execute("SELECT count(*) FROM missed").fetchone()
            if count >= MAX_MISSED:
                raise FullError(f"there are {MAX_MISSED:,} missed sounds already: export them, and remove some")
            query = f"INSERT INTO missed ({_COLUMNS}) VALUES (NULL{', ?' * 7}) RETURNING {_COLUMNS}"  # noqa: S608 - a constant
            return MissedSound(*db.execute(query, values).fetchone())

    def remove(self, numbers: tuple[int, ...]) -> list[MissedSound]:
        """Remove sounds; return those that there were."""
        removed = []
        with self._database.writing() as db:
            for number in numbers:
                query = f"DELETE FROM missed WHERE number = ? RETURNING {_COLUMNS}"  # noqa: S608 - a constant
                removed += [MissedSound(*row) for row in db.execute(query, (number,)).fetchall()]
        return removed

    def page(self, wanted: Filter, after: Cursor | None = None, limit: int = 100) -> MissedPage:
        """Return a page. Of the filter device, source, label and times count."""
        pairs = (
            ("device = ?", wanted.device),
            ("source = ?", wanted.source),
            ("label = ?", wanted.label),
            ("begin_ms >= ?", wanted.from_ms),
            ("begin_ms < ?", wanted.until_ms),
        )
        conditions = [condition for condition, value in pairs if value is not None]
        values: list[object] = [value for _, value in pairs if value is not None]
        if after is not None:
            conditions.append("(begin_ms, number) < (?, ?)")
            values += [after.begin_ms, after.number]
        limit = max(1, min(limit, MAX_PAGE))
        query = (
            f"SELECT {_COLUMNS}, {_COVERED} FROM missed INDEXED BY missed_by_begin "  # noqa: S608 - of this module
            f"WHERE {' AND '.join(conditions) or 'TRUE'} ORDER BY begin_ms DESC, number DESC LIMIT ?"
        )
        with self._database.reading() as db:
            rows = db.execute(query, (_LONGEST_EVENT_MS, *values, limit + 1)).fetchall()
        sounds = tuple(MissedSound(*row) for row in rows[:limit])
        return MissedPage(sounds, sounds[-1].cursor if len(rows) > limit else None)

    def labels(self) -> list[str]:
        """Return the labels that are known, in their order: of models, and those that people gave."""
        columns = (("events", "label"), ("events", "given_label"), ("missed", "label"))
        with self._database.reading() as db:
            found = {
                label
                for table, column in columns
                for (label,) in db.execute(_LABELS.format(table=table, column=column), (MAX_LABELS,))
            }
        return sorted(found)[:MAX_LABELS]
