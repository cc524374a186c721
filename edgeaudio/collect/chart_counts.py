"""What charts read: events counted by quarter of an hour, label and score, after they were stored.

Owns: the tables `counts` and `uncounted`. Does not know: the packed form (packed_counts.py), when this is done
(state_thread.py), who reads it (dashboard/postgres/history.py).

Whoever stores or judges an event notes its source and quarter in `uncounted`, in the same transaction. Here they are
counted anew from the detections themselves: what comes again or in another order, and whoever is killed, changes no
number. Notes are only ever added, never updated: collectors do not wait for each other. If the two halves of an event
name different quarters, the one whose note is seen leads to the other's, so that both are counted anew when the later
half has been committed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from sqlalchemy import Connection, text

from edgeaudio.collect.rows import Row
from edgeaudio.fleet_database.database import Database
from edgeaudio.fleet_database.event_parts import (
    LOST_BEGIN,
    OFFSET,
    ONSET,
    REVIEW,
    SCORE,
    lost_begin,
    quarter_of,
)
from edgeaudio.packed_counts import QUARTERS, Changes, RowKey, arranged, entries_of, merged, no_changes, note

_LOCK: Final = 0x65646704
MAX_AT_ONCE: Final = 2_000
_ROWS: Final = 5_000  # of `counts`, in one statement
_QUARTER_S: Final = 900

_Noted: TypeAlias = tuple[str, str, int]  # device, source, quarter since 1970; empty names: of all sources

_NOTE: Final = f"""INSERT INTO edgeaudio.uncounted SELECT DISTINCT device, source,
    CASE kind WHEN 'onset' THEN {quarter_of("d.at")} ELSE {quarter_of(LOST_BEGIN)} END
    FROM unnest(CAST(:devices AS text[]), CAST(:sources AS text[]), CAST(:kinds AS text[]),
        CAST(:times AS timestamptz[]), CAST(:durations AS float8[])) AS d (device, source, kind, at, duration_s)"""  # noqa: S608
_TAKE: Final = """WITH chosen AS (
        SELECT DISTINCT device, source, quarter FROM edgeaudio.uncounted
        ORDER BY quarter DESC, device, source LIMIT :count
    ), taken AS (DELETE FROM edgeaudio.uncounted u USING chosen c
        WHERE u.device = c.device AND u.source = c.source AND u.quarter = c.quarter)
    SELECT device, source, quarter FROM chosen"""
_IS_NOTED: Final = """({quarter} = ANY(CAST(:all AS integer[])) OR (d.device, d.source, {quarter}) IN (
    SELECT * FROM unnest(CAST(:devices AS text[]), CAST(:sources AS text[]), CAST(:quarters AS integer[]))))"""
_ONSETS: Final = f"""d.kind = 'onset' AND NOT d.test AND d.at >= :first AND d.at < :last
    AND {_IS_NOTED.format(quarter=quarter_of("d.at"))}"""
_OFFSETS: Final = f"""d.kind = 'offset' AND NOT d.test
    AND {LOST_BEGIN} >= CAST(:first AS timestamptz) AT TIME ZONE 'UTC'
    AND {LOST_BEGIN} < CAST(:last AS timestamptz) AT TIME ZONE 'UTC'
    AND {_IS_NOTED.format(quarter=quarter_of(LOST_BEGIN))}"""
# a score of 0.29 is 0.28999999 as `real`. Behind the count: the quarter that the other half names, if it is another
_COUNTED: Final = """SELECT d.device, d.source, {quarter}, coalesce(r.given_label, d.label),
    CAST(floor({score} * 100.0 + 1e-5) AS integer), nullif({other}, {quarter}),
    count(*) FILTER (WHERE {is_event} AND r.verdict IS DISTINCT FROM 'wrong')
    FROM edgeaudio.detections d"""
_ONSETS_COUNTED: Final = _COUNTED.format(
    quarter=quarter_of("d.at"), score=SCORE, other=quarter_of(lost_begin("ending")), is_event="true"
)
_OFFSETS_COUNTED: Final = _COUNTED.format(
    quarter=quarter_of(LOST_BEGIN), score="d.score", other=quarter_of("onset.at"), is_event="onset.at IS NULL"
)
_COUNT: Final = f"""{_ONSETS_COUNTED} {REVIEW} {OFFSET} WHERE {_ONSETS} GROUP BY 1, 2, 3, 4, 5, 6
    UNION ALL {_OFFSETS_COUNTED} {REVIEW} {ONSET} WHERE {_OFFSETS} GROUP BY 1, 2, 3, 4, 5, 6"""
_OLD: Final = """SELECT d.device, d.source, d.label, d.entries FROM edgeaudio.counts d
    WHERE d.day = :day AND d.device <> '' AND d.source <> '' AND (CAST(:all AS integer[]) <> '{}'
        OR (d.device, d.source) IN (SELECT * FROM unnest(CAST(:devices AS text[]), CAST(:sources AS text[]))))"""
_KEYS: Final = """unnest(CAST(:devices AS text[]), CAST(:sources AS text[]), CAST(:days AS integer[]),
    CAST(:labels AS text[])) AS k (device, source, day, label)"""
_READ: Final = f"""SELECT c.device, c.source, c.day, c.label, c.entries FROM edgeaudio.counts c
    JOIN {_KEYS} USING (device, source, day, label)"""  # noqa: S608 - a constant
_WRITE: Final = """INSERT INTO edgeaudio.counts SELECT * FROM unnest(CAST(:devices AS text[]), CAST(:sources AS text[]),
    CAST(:days AS integer[]), CAST(:labels AS text[]), CAST(:entries AS bytea[]), CAST(:totals AS bytea[]))
    ON CONFLICT (device, source, day, label) DO UPDATE SET entries = excluded.entries, totals = excluded.totals"""
_DELETE: Final = f"""DELETE FROM edgeaudio.counts c USING {_KEYS}
    WHERE c.device = k.device AND c.source = k.source AND c.day = k.day AND c.label = k.label"""  # noqa: S608 - a constant
_PRUNE: Final = "DELETE FROM edgeaudio.counts WHERE day < :day"


def note_stored(db: Connection, detections: Sequence[Row]) -> None:
    """Note what is to be counted of detections that are stored in the same transaction."""
    columns = {"devices": "device", "sources": "source", "kinds": "kind", "times": "at", "durations": "duration_s"}
    counted = [row for row in detections if not row["test"]]
    if counted:
        db.execute(text(_NOTE), {name: [row[column] for row in counted] for name, column in columns.items()})


def count_noted(database: Database, at_once: int = MAX_AT_ONCE) -> bool:
    """Count so many quarters of what is noted, the newest first; True if that was all. Raises DatabaseError."""
    with database.transaction() as db:
        db.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        noted = {(device, source, quarter) for device, source, quarter in db.execute(text(_TAKE), {"count": at_once})}
        others: set[_Noted] = set()
        for day, of_day in _by_day(noted):
            others |= _count_day(db, day, of_day)
        for day, of_day in _by_day(others - noted):
            _count_day(db, day, of_day)
    return len(noted) < at_once


def prune(db: Connection, oldest: datetime) -> None:
    """Delete the counts of days before a time."""
    db.execute(text(_PRUNE), {"day": int(oldest.timestamp()) // 86_400})


def _by_day(noted: Iterable[_Noted]) -> list[tuple[int, set[_Noted]]]:
    days: defaultdict[int, set[_Noted]] = defaultdict(set)
    for each in noted:
        days[each[2] // QUARTERS].add(each)
    return sorted(days.items(), reverse=True)


def _values(day: int, noted: set[_Noted]) -> dict[str, Any]:
    """Return the parameters of the statements above; the times are narrow, so that indexes serve."""
    quarters = [quarter for _, _, quarter in noted]
    of_sources = sorted(each for each in noted if each[0])
    return {
        "day": day,
        "first": datetime.fromtimestamp(min(quarters) * _QUARTER_S, UTC),
        "last": datetime.fromtimestamp((max(quarters) + 1) * _QUARTER_S, UTC),
        "all": sorted(quarter for device, _, quarter in noted if not device),
        "devices": [device for device, _, _ in of_sources],
        "sources": [source for _, source, _ in of_sources],
        "quarters": [quarter for _, _, quarter in of_sources],
    }


def _count_day(db: Connection, day: int, noted: set[_Noted]) -> set[_Noted]:
    """Replace the counts of quarters of sources, and change those of the wider scopes by what is different.

    Returns what the other halves of these events name.
    """
    values = _values(day, noted)
    everything = set(values["all"])
    differences: Counter[tuple[str, str, int, str, int]] = Counter()
    others: set[_Noted] = set()
    for device, source, quarter, label, hundredths, other, count in db.execute(text(_COUNT), values):
        differences[device, source, quarter, label, hundredths] += count
        if other is not None:
            others.add((device, source, other))
    for device, source, label, entries in db.execute(text(_OLD), values):
        for quarter_of_day, hundredths, count in entries_of(entries):
            quarter = day * QUARTERS + quarter_of_day
            if quarter in everything or (device, source, quarter) in noted:
                differences[device, source, quarter, label, hundredths] -= count
    changes = no_changes()
    for (device, source, quarter, label, hundredths), change in differences.items():
        if change:
            note(changes, (device, source), quarter, label, min(hundredths, 100), change)
    _write(db, changes)
    return others


def _write(db: Connection, changes: Changes) -> None:
    keys = sorted(changes)
    for first in range(0, len(keys), _ROWS):
        some = keys[first : first + _ROWS]
        old = {
            (device, source, day, label): entries
            for device, source, day, label, entries in db.execute(text(_READ), _columns(some))
        }
        new = {
            key: merged(old.get(key, b""), {entry: change for entry, change in changes[key].items() if change})
            for key in some
        }
        kept = {key: arranged(entries) for key, entries in new.items() if entries}
        if kept:
            packed = {
                "entries": [entries for entries, _ in kept.values()],
                "totals": [totals for _, totals in kept.values()],
            }
            db.execute(text(_WRITE), {**_columns(kept), **packed})
        if gone := [key for key in old if not new[key]]:
            db.execute(text(_DELETE), _columns(gone))


def _columns(keys: Iterable[RowKey]) -> Mapping[str, list[Any]]:
    names = ("devices", "sources", "days", "labels")
    return dict(zip(names, map(list, zip(*keys, strict=True)), strict=True))
