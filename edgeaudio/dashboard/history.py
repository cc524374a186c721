"""The history of detections, in the dashboard's database.

Owns: its tables, how onset and offset become one event, what is read by page, and what goes with age.
Does not know: the file (database.py), MQTT, the page.

Idempotent: a detection is taken once for each (`id`, `kind`) of a source, whatever order they come in. Counts by
quarter of an hour are kept in the same transaction, so that no chart counts rows; a quarter, because zones differ by
quarters. Every method raises DatabaseError.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from edgeaudio.dashboard.database import Connection, Database
from edgeaudio.dashboard.sequence import Gap
from edgeaudio.dashboard.sequence import Sequence as DeviceSequence
from edgeaudio.dashboard.wire import Detection

MAX_EVENTS = 10_000_000  # beyond it the oldest go
MAX_DEVICES = 2_000  # whose numbers are followed
MAX_PAGE = 500
SLOT_MS: Final = 15 * 60 * 1000
_PRUNED_AT_ONCE = 1_000  # rows of one transaction
_ONSET, _OFFSET = 1, 2
SCHEMA: Final = (
    """CREATE TABLE events (
        number INTEGER PRIMARY KEY, device TEXT NOT NULL, source TEXT NOT NULL, id TEXT NOT NULL, label TEXT NOT NULL,
        model TEXT NOT NULL, score REAL NOT NULL, begin_ms INTEGER NOT NULL, begin_error_s REAL, end_ms INTEGER,
        end_error_s REAL, duration_s REAL NOT NULL, test INTEGER NOT NULL, kinds INTEGER NOT NULL,
        received_ms INTEGER NOT NULL,
        UNIQUE (device, source, id))""",
    # each ends in the order of a page: rows of one index and one begin are in the order of their numbers
    "CREATE INDEX events_by_begin ON events (begin_ms)",
    "CREATE INDEX events_by_device ON events (device, begin_ms)",
    "CREATE INDEX events_by_label ON events (label, begin_ms)",
    # of a source, of a device (its source is empty), and of all (both are)
    """CREATE TABLE slots (
        device TEXT NOT NULL, source TEXT NOT NULL, slot INTEGER NOT NULL, label TEXT NOT NULL, events INTEGER NOT NULL,
        PRIMARY KEY (device, source, slot, label)) WITHOUT ROWID""",
    "CREATE TABLE sequences (device TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID",
)
_COLUMNS = (
    "number, device, source, id, label, model, score, begin_ms, begin_error_s, end_ms, end_error_s, duration_s, test, "
    "kinds"
)
_COUNT = """INSERT INTO slots VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (device, source, slot, label) DO UPDATE SET events = events + excluded.events"""
_Counts = Counter[tuple[str, str, int, str]]  # by the columns of slots


@dataclass(frozen=True, slots=True)
class HistoryEvent:
    """One sound: what its onset and its offset said together."""

    number: int  # of arrival, here
    device: str
    source: str
    id: str
    label: str
    model: str
    score: float  # the highest
    begin_ms: int  # Unix time; of the offset less the duration where the onset is lost
    begin_error_s: float | None
    end_ms: int | None  # None: it goes on, or its offset is lost
    end_error_s: float | None
    duration_s: float
    test: bool
    onset_lost: bool


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events; None: any."""

    device: str | None = None
    source: str | None = None
    label: str | None = None
    min_score: float | None = None
    from_ms: int | None = None  # begins, this one included
    until_ms: int | None = None  # this one excluded
    tests: bool = True


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place between two pages: the last event of the one before."""

    begin_ms: int
    number: int


@dataclass(frozen=True, slots=True)
class Page:
    """Events from the newest to the oldest; `next`: where the next page begins, None: there is none."""

    events: tuple[HistoryEvent, ...]
    next: Cursor | None


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a batch: the detections that were new, and the sequences of its devices."""

    new: tuple[Detection, ...]
    sequences: dict[str, DeviceSequence]


class History:
    """The tables of events, their counts, and the sequences of devices."""

    def __init__(self, database: Database, *, keep_s: float) -> None:
        self.database = database
        self._keep_s = keep_s

    def write(self, detections: Sequence[Detection], now_s: float) -> Written:
        """Commit a batch in the order of its arrival."""
        with self.database.writing() as db:
            sequences = _read_sequences(db, {detection.device for detection in detections})
            free = MAX_DEVICES - db.execute("SELECT count(*) FROM sequences").fetchone()[0]
            counts: _Counts = Counter()
            new = []
            for detection in detections:
                old = sequences.get(detection.device)
                epoch, seq = detection.seq_epoch, detection.seq
                if old is not None:
                    sequences[detection.device] = old.received(epoch, seq, now_s)
                elif free > 0:
                    free -= 1
                    sequences[detection.device] = DeviceSequence.begin(epoch, seq)
                if _put(db, detection, int(now_s * 1000), counts):
                    new.append(detection)
            db.executemany(_COUNT, [(*key, change) for key, change in counts.items() if change])
            _write_sequences(db, sequences)
        return Written(tuple(new), sequences)

    def prune(self, now_s: float) -> int:
        """Delete some of what is too old or too much, in one short transaction; return how many; 0: done."""
        oldest_ms = int((now_s - self._keep_s) * 1000)
        with self.database.writing() as db:
            (last,) = db.execute("SELECT coalesce(max(number), 0) FROM events").fetchone()
            # Events are numbered as they arrive: the oldest are the lowest. All before the first that is kept go, and
            # none behind it: a clock that was wrong for a while (a board without a battery begins in 1970) must not
            # take younger ones with it, and one that was ahead is taken for now, so that it ends at all.
            first = "SELECT number, received_ms FROM events ORDER BY number LIMIT ?"
            now_ms = int(now_s * 1000)
            db.execute(
                f"UPDATE events SET received_ms = ? WHERE number IN (SELECT number FROM ({first}) "  # noqa: S608 - a constant
                "WHERE received_ms > ?)",
                (now_ms, _PRUNED_AT_ONCE, now_ms),
            )
            (kept,) = db.execute(
                f"SELECT min(number) FROM ({first}) WHERE received_ms >= ? AND number > ?",  # noqa: S608 - a constant
                (_PRUNED_AT_ONCE, oldest_ms, last - MAX_EVENTS),
            ).fetchone()
            (until,) = db.execute(f"SELECT coalesce(max(number), 0) FROM ({first})", (_PRUNED_AT_ONCE,)).fetchone()  # noqa: S608
            gone = db.execute("DELETE FROM events WHERE number <= ?", (until if kept is None else kept - 1,)).rowcount
            if not gone:
                _prune_counts(db, oldest_ms // SLOT_MS)
                # devices that are no more make room for others
                db.execute(
                    "DELETE FROM sequences WHERE NOT EXISTS (SELECT 1 FROM events WHERE device = sequences.device)"
                )
            return gone

    def page(self, wanted: Filter, after: Cursor | None = None, limit: int = 100) -> Page:
        """Return a page of events, from the newest to the oldest."""
        conditions, values = _conditions(wanted)
        if after is not None:
            conditions.append("(begin_ms, number) < (?, ?)")
            values += [after.begin_ms, after.number]
        limit = max(1, min(limit, MAX_PAGE))
        # the planner would take the index that names most columns, and sort
        index = "device" if wanted.device is not None else "label" if wanted.label is not None else "begin"
        where = " AND ".join(conditions) or "TRUE"
        query = (
            f"SELECT {_COLUMNS} FROM events INDEXED BY events_by_{index} WHERE {where} "  # noqa: S608 - names of this module
            "ORDER BY begin_ms DESC, number DESC LIMIT ?"
        )
        with self.database.reading() as db:
            rows = db.execute(query, (*values, limit + 1)).fetchall()
        events = tuple(map(_event, rows[:limit]))
        more = len(rows) > limit
        return Page(events, Cursor(events[-1].begin_ms, events[-1].number) if more else None)

    def event(self, device: str, source: str, event_id: str) -> HistoryEvent | None:
        """Return one event; None: it is not here."""
        query = f"SELECT {_COLUMNS} FROM events WHERE device = ? AND source = ? AND id = ?"  # noqa: S608 - a constant
        with self.database.reading() as db:
            row = db.execute(query, (device, source, event_id)).fetchone()
        return None if row is None else _event(row)

    def counts(self, wanted: Filter) -> dict[int, dict[str, int]]:
        """Return the number of events by the beginning of their quarter of an hour (Unix ms) and label.

        Of the filter device, source, label and both times count; tests are never counted. Only a source without its
        device has to be looked for.
        """
        scope: list[tuple[str, object]] = [("device = ?", wanted.device or ""), ("source = ?", wanted.source or "")]
        if wanted.device is None and wanted.source is not None:
            del scope[0]
        if wanted.from_ms is not None:
            scope.append(("slot >= ?", wanted.from_ms // SLOT_MS))
        if wanted.until_ms is not None:
            scope.append(("slot < ?", -(-wanted.until_ms // SLOT_MS)))
        if wanted.label is not None:
            scope.append(("label = ?", wanted.label))
        where = " AND ".join(condition for condition, _ in scope)
        query = (
            f"SELECT slot, label, sum(events) FROM slots WHERE {where} AND events > 0 "  # noqa: S608 - of this module
            "GROUP BY slot, label ORDER BY slot"
        )
        found: dict[int, dict[str, int]] = {}
        with self.database.reading() as db:
            for slot, label, events in db.execute(query, [value for _, value in scope]):
                found.setdefault(slot * SLOT_MS, {})[label] = events
        return found

    def sequences(self) -> dict[str, DeviceSequence]:
        """Return the sequence of every device."""
        with self.database.reading() as db:
            return {device: _sequence(state) for device, state in db.execute("SELECT device, state FROM sequences")}


def _put(db: Connection, detection: Detection, received_ms: int, counts: _Counts) -> bool:
    """Insert a detection or join it to the other half of its event; True if it was new."""
    key = (detection.device, detection.source, detection.id)
    kind = _ONSET if detection.kind == "onset" else _OFFSET
    at_ms = round(detection.at.timestamp() * 1000)
    begin_ms = at_ms if kind == _ONSET else at_ms - round(detection.duration_s * 1000)
    begin_error_s, end_error_s = (detection.at_error_s, None) if kind == _ONSET else (None, detection.at_error_s)
    row = db.execute(
        "SELECT number, kinds, begin_ms, label, test FROM events WHERE device = ? AND source = ? AND id = ?", key
    ).fetchone()
    if row is None:
        db.execute(
            f"INSERT INTO events ({_COLUMNS}, received_ms) VALUES (NULL{', ?' * 14})",  # noqa: S608 - a constant
            (
                *key,
                *(detection.label, detection.model, detection.score, begin_ms, begin_error_s),
                *(None if kind == _ONSET else at_ms, end_error_s, detection.duration_s),
                *(detection.test, kind, received_ms),
            ),
        )
        if not detection.test:
            _count(counts, key, begin_ms, detection.label, 1)
        return True
    number, kinds, old_begin_ms, label, test = row
    if kinds & kind:
        return False
    if kind == _ONSET:
        db.execute(
            "UPDATE events SET kinds = kinds | 1, begin_ms = ?, begin_error_s = ?, score = max(score, ?) "
            "WHERE number = ?",
            (begin_ms, begin_error_s, detection.score, number),
        )
        if not test:
            _count(counts, key, old_begin_ms, label, -1)
            _count(counts, key, begin_ms, label, 1)
    else:
        db.execute(
            "UPDATE events SET kinds = kinds | 2, end_ms = ?, end_error_s = ?, score = max(score, ?), duration_s = ? "
            "WHERE number = ?",
            (at_ms, end_error_s, detection.score, detection.duration_s, number),
        )
    return True


def _count(counts: _Counts, key: tuple[str, str, str], begin_ms: int, label: str, change: int) -> None:
    device, source, _ = key
    for scope in ((device, source), (device, ""), ("", "")):
        counts[(*scope, begin_ms // SLOT_MS, label)] += change


def _prune_counts(db: Connection, first_slot: int) -> None:
    """Delete older counts, scope by scope: by time alone the whole table would have to be read."""
    scope: tuple[str, str] | None = ("", "")
    while scope is not None:
        db.execute("DELETE FROM slots WHERE device = ? AND source = ? AND slot < ?", (*scope, first_slot))
        scope = db.execute(
            "SELECT device, source FROM slots WHERE (device, source) > (?, ?) ORDER BY device, source LIMIT 1", scope
        ).fetchone()


def _conditions(wanted: Filter) -> tuple[list[str], list[object]]:
    pairs = (
        ("device = ?", wanted.device),
        ("source = ?", wanted.source),
        ("label = ?", wanted.label),
        ("score >= ?", wanted.min_score),
        ("begin_ms >= ?", wanted.from_ms),
        ("begin_ms < ?", wanted.until_ms),
    )
    conditions = [condition for condition, value in pairs if value is not None]
    values: list[object] = [value for _, value in pairs if value is not None]
    return conditions + ([] if wanted.tests else ["test = 0"]), values


def _event(row: tuple[Any, ...]) -> HistoryEvent:
    number, device, source, event_id, label, model, score, begin_ms, begin_error_s, end_ms, end_error_s, *others = row
    duration_s, test, kinds = others
    return HistoryEvent(
        *(number, device, source, event_id, label, model, score),
        *(begin_ms, begin_error_s, end_ms, end_error_s, duration_s),
        test=bool(test),
        onset_lost=kinds == _OFFSET,
    )


def _read_sequences(db: Connection, devices: Iterable[str]) -> dict[str, DeviceSequence]:
    found = {}
    for device in devices:
        if row := db.execute("SELECT state FROM sequences WHERE device = ?", (device,)).fetchone():
            found[device] = _sequence(row[0])
    return found


def _write_sequences(db: Connection, sequences: dict[str, DeviceSequence]) -> None:
    db.executemany(
        "INSERT INTO sequences VALUES (?, ?) ON CONFLICT (device) DO UPDATE SET state = excluded.state",
        [(device, json.dumps(asdict(sequence))) for device, sequence in sequences.items()],
    )


def _sequence(state: str) -> DeviceSequence:
    table = json.loads(state)
    return DeviceSequence(**{**table, "gaps": tuple(Gap(**gap) for gap in table["gaps"])})
