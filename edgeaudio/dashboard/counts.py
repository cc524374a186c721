"""How many sounds began in each quarter of an hour, in the dashboard's database: what its charts read.

Owns: the table of these roll-ups. Does not know: their packed form (packed_counts.py), events (history.py), zones, what
is drawn. Callers hold the transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from edgeaudio import packed_counts
from edgeaudio.dashboard.database import Connection
from edgeaudio.packed_counts import QUARTER_MS, QUARTERS, Changes, Spans, hundredths_of, no_changes

SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS counts (
        device TEXT NOT NULL, source TEXT NOT NULL, day INTEGER NOT NULL, label TEXT NOT NULL, entries BLOB NOT NULL,
        totals BLOB, PRIMARY KEY (device, source, day, label)) WITHOUT ROWID""",
)
_EVENTS_AT_ONCE: Final = 200_000


def note(changes: Changes, source: tuple[str, str], begin_ms: int, label: str, score: float, change: int) -> None:
    """Add one event of a source (device, source), or take it away (`change` is -1)."""
    packed_counts.note(changes, source, begin_ms // QUARTER_MS, label, hundredths_of(score), change)


def write(db: Connection, changes: Changes) -> None:
    """Add the changes to the table."""
    for key, by_entry in changes.items():
        wanted = {entry: change for entry, change in by_entry.items() if change}
        if not wanted:
            continue
        row = db.execute(
            "SELECT entries FROM counts WHERE device = ? AND source = ? AND day = ? AND label = ?", key
        ).fetchone()
        entries = packed_counts.merged(b"" if row is None else row[0], wanted)
        if entries:
            db.execute(
                "INSERT INTO counts VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (device, source, day, label) "
                "DO UPDATE SET entries = excluded.entries, totals = excluded.totals",
                (*key, *packed_counts.arranged(entries)),
            )
        else:
            db.execute("DELETE FROM counts WHERE device = ? AND source = ? AND day = ? AND label = ?", key)


def read(
    db: Connection,
    device: str | None,
    source: str | None,
    label: str | None,
    min_score: float | None,
    *,
    from_ms: int,
    steps: Sequence[int],
) -> dict[str, list[int]]:
    """Return the counts of each label, that of most sounds first, in spans that follow each other.

    from_ms: where the first span begins, a full quarter of an hour. steps: the length of each span in quarters.
    min_score counts in full hundredths, rounded up.
    """
    spans = Spans(from_ms // QUARTER_MS, steps)
    totals = packed_counts.least_hundredths(min_score) == 0
    # of a row that has its totals the entries need not be read, unless their scores matter
    rows = db.execute(
        "SELECT day, label, iif(?, coalesce(totals, entries), entries), ? AND totals IS NOT NULL FROM counts "
        "WHERE device = ? AND source = ? AND day BETWEEN ? AND ? AND (? IS NULL OR label = ?)",
        (totals, totals, device or "", source or "", spans.first_day, spans.last_day, label, label),
    )
    return packed_counts.summed(rows, spans, min_score)


def prune(db: Connection, first_ms: int, last_ms: int) -> None:
    """Delete the counts of days before and after these times, scope by scope: by day alone all would be read."""
    first_day, last_day = first_ms // (QUARTERS * QUARTER_MS), last_ms // (QUARTERS * QUARTER_MS)
    scope: tuple[str, str] | None = ("", "")
    while scope is not None:
        db.execute("DELETE FROM counts WHERE device = ? AND source = ? AND day < ?", (*scope, first_day))
        db.execute("DELETE FROM counts WHERE device = ? AND source = ? AND day > ?", (*scope, last_day))
        scope = db.execute(
            "SELECT device, source FROM counts WHERE (device, source) > (?, ?) ORDER BY device, source LIMIT 1", scope
        ).fetchone()


def rebuild(db: Connection, events: Iterable[tuple[str, str, int, str, float]]) -> None:
    """Count everything anew. events: device, source, begin in Unix ms, label, score; each costs some microseconds."""
    db.execute("DELETE FROM counts")
    changes = no_changes()
    for number, (device, source, begin_ms, label, score) in enumerate(events, 1):
        note(changes, (device, source), begin_ms, label, score, 1)
        if number % _EVENTS_AT_ONCE == 0:
            write(db, changes)
            changes = no_changes()
    write(db, changes)
