"""The history of detections, in the dashboard's database.

Owns: its tables, how onset and offset become one event, what is read by page, and what goes with age.
Does not know: the file (database.py), the form of counts (counts.py), who judges events and how (reviews.py), MQTT, the
page.

Idempotent: a detection is taken once for each (`id`, `kind`) of a source, whatever order they come in. Counts are kept
in the same transaction, so that no chart counts rows. An event that somebody found wrong is not counted, and one of
another label counts as that. What was reviewed does not go with age. Every method raises DatabaseError.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, TypeAlias

from edgeaudio.dashboard import counts, model_files
from edgeaudio.dashboard.database import Connection, Database
from edgeaudio.dashboard.model_files import ModelFiles
from edgeaudio.dashboard.sequence import Gap
from edgeaudio.dashboard.sequence import Sequence as DeviceSequence
from edgeaudio.packed_counts import Changes, no_changes
from edgeaudio.wire.payloads import Detection

MAX_EVENTS = 10_000_000  # beyond it the oldest go
MAX_DEVICES = 2_000  # whose numbers are followed
MAX_PAGE = 500
_PRUNED_AT_ONCE = 1_000  # rows of one transaction
_SORTED_AT_MOST = 10_000  # events of a score that is rare
_AHEAD_S = 86_400.0  # events that begin later are not counted for long
_ONSET, _OFFSET = 1, 2
# what a layout 1 has not
COLUMNS: Final = tuple(
    ("events", column)
    for column in ("verdict TEXT", "given_label TEXT", "reviewer TEXT", "reviewed_ms INTEGER", "model_file INTEGER")
)
SCHEMA: Final = (
    # verdict and the three after it: of reviews.py; model_file: of model_files.py
    """CREATE TABLE IF NOT EXISTS events (
        number INTEGER PRIMARY KEY, device TEXT NOT NULL, source TEXT NOT NULL, id TEXT NOT NULL, label TEXT NOT NULL,
        model TEXT NOT NULL, score REAL NOT NULL, begin_ms INTEGER NOT NULL, begin_error_s REAL, end_ms INTEGER,
        end_error_s REAL, duration_s REAL NOT NULL, test INTEGER NOT NULL, kinds INTEGER NOT NULL,
        received_ms INTEGER NOT NULL, verdict TEXT, given_label TEXT, reviewer TEXT, reviewed_ms INTEGER,
        model_file INTEGER,
        UNIQUE (device, source, id))""",
    # each ends in the order of a page: rows of one index and one begin are in the order of their numbers
    "CREATE INDEX IF NOT EXISTS events_by_begin ON events (begin_ms)",
    "CREATE INDEX IF NOT EXISTS events_by_device ON events (device, begin_ms)",
    "CREATE INDEX IF NOT EXISTS events_by_label ON events (label, begin_ms)",
    "CREATE INDEX IF NOT EXISTS events_by_source ON events (source, begin_ms)",
    # for scores that are rare: whoever asks for those would else have all rows read
    "CREATE INDEX IF NOT EXISTS events_by_score ON events (score)",
    # of the few that are reviewed
    "CREATE INDEX IF NOT EXISTS events_by_verdict ON events (verdict, begin_ms) WHERE verdict IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS events_by_given_label ON events (given_label, begin_ms) WHERE given_label IS NOT NULL",
    "CREATE TABLE IF NOT EXISTS sequences (device TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID",
    *counts.SCHEMA,
    *model_files.SCHEMA,
)
_WRITTEN = (
    "number, device, source, id, label, model, score, begin_ms, begin_error_s, end_ms, end_error_s, duration_s, test, "
    "kinds"
)
_SHA256 = "(SELECT sha256 FROM model_files WHERE number = model_file)"
_COLUMNS = f"{_WRITTEN}, verdict, given_label, reviewer, reviewed_ms, {_SHA256}"
Verdict: TypeAlias = Literal["right", "wrong", "other"]  # "other": right, but for the label


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
    verdict: Verdict | None = None
    given_label: str | None = None  # of the verdict "other"
    reviewer: str | None = None
    reviewed_ms: int | None = None
    model_sha256: str | None = None  # of the model's file, where the device had reported it when the event arrived
    # of a fused model: names and scores, where the history keeps them and one event was asked for
    members: tuple[tuple[str, float], ...] = ()

    @property
    def cursor(self) -> Cursor:
        """Its place among the pages."""
        return Cursor(self.begin_ms, self.number)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events; None: any."""

    device: str | None = None
    source: str | None = None
    label: str | None = None  # of the model, or given by a reviewer
    min_score: float | None = None
    from_ms: int | None = None  # begins, this one included
    until_ms: int | None = None  # this one excluded
    tests: bool = True
    verdict: Verdict | Literal["unreviewed"] | None = None


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

    def __init__(
        self, database: Database, *, keep_s: float, sha256_of: Callable[[str, str], str | None] = lambda *_: None
    ) -> None:
        """`sha256_of`: the hash of a device's model, as far as the device has reported it."""
        self.database = database
        self.keep_s = keep_s
        self._sha256_of = sha256_of

    @property
    def is_damaged(self) -> bool:
        """True if the file was found damaged: the next write begins a new one."""
        return self.database.is_damaged

    def open(self) -> None:
        """Open the database, or create it."""
        self.database.open()

    def write(self, detections: Sequence[Detection], now_s: float) -> Written:
        """Commit a batch in the order of its arrival."""
        with self.database.writing() as db:
            sequences = _read_sequences(db, {detection.counter for detection in detections})
            free = MAX_DEVICES - db.execute("SELECT count(*) FROM sequences").fetchone()[0]
            changes = no_changes()
            files = ModelFiles(db, self._sha256_of)
            new = []
            for detection in detections:
                old = sequences.get(detection.counter)
                epoch, seq = detection.seq_epoch, detection.seq
                if old is not None:
                    sequences[detection.counter] = old.received(epoch, seq, now_s)
                elif free > 0:
                    free -= 1
                    sequences[detection.counter] = DeviceSequence.begin(epoch, seq)
                if _put(db, detection, int(now_s * 1000), changes, files):
                    new.append(detection)
            counts.write(db, changes)
            _write_sequences(db, sequences)
        return Written(tuple(new), sequences)

    def prune(self, now_s: float | None) -> int:
        """Delete some of what is too old or too much, in one short transaction; return how many; 0: done.

        `now_s`: None while the clock is not believed; then nothing is too old.
        """
        oldest_ms = 0 if now_s is None else self.oldest_ms(now_s)
        with self.database.writing() as db:
            (last,) = db.execute("SELECT coalesce(max(number), 0) FROM events").fetchone()
            # Events are numbered as they arrive: the oldest are the lowest. All before the first that is kept go, and
            # none behind it: a clock that was wrong for a while (a board without a battery begins in 1970) must not
            # take younger ones with it, and one that was ahead is taken for now, so that it ends at all.
            # What was reviewed stays.
            first = "SELECT number, received_ms FROM events WHERE verdict IS NULL ORDER BY number LIMIT ?"
            if now_s is not None:
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
            gone = db.execute(
                "DELETE FROM events WHERE number <= ? AND verdict IS NULL", (until if kept is None else kept - 1,)
            ).rowcount
            if not gone:
                if now_s is not None:
                    # by a device's clock that is ahead: else they would stay until then
                    counts.prune(db, oldest_ms, int((now_s + _AHEAD_S) * 1000))
                # devices that are no more make room for others
                db.execute(
                    # a shard's counter is named DEVICE/INDEX
                    "DELETE FROM sequences WHERE NOT EXISTS (SELECT 1 FROM events WHERE device = "
                    "substr(sequences.device, 1, instr(sequences.device || '/', '/') - 1))"
                )
                ModelFiles.prune(db)
            return gone

    def oldest_ms(self, now_s: float) -> int:
        """Return the time before which nothing is kept, and nothing counted, as Unix ms."""
        return int((now_s - self.keep_s) * 1000)

    def page(self, wanted: Filter, after: Cursor | None = None, limit: int = 100) -> Page:
        """Return a page of events, from the newest to the oldest."""
        limit = max(1, min(limit, MAX_PAGE))
        # the planner would take the index that names most columns, and sort
        if wanted.verdict not in {None, "unreviewed"}:
            indexes = ["verdict"]
        elif wanted.device is not None:
            indexes = ["device"]
        elif wanted.source is not None:
            indexes = ["source"]
        else:
            indexes = ["begin"] if wanted.label is None else ["label", "given_label"]
        with self.database.reading() as db:
            if (
                wanted.min_score is not None
                and wanted.verdict in {None, "unreviewed"}
                and _is_rare(db, wanted.min_score)
            ):
                indexes = ["score"]
            found = {event.number: event for index in indexes for event in _page(db, index, wanted, after, limit + 1)}
        events = sorted(found.values(), key=lambda event: (event.begin_ms, event.number), reverse=True)
        return Page(tuple(events[:limit]), events[limit - 1].cursor if len(events) > limit else None)

    def event(self, device: str, source: str, event_id: str) -> HistoryEvent | None:
        """Return one event; None: it is not here."""
        query = f"SELECT {_COLUMNS} FROM events WHERE device = ? AND source = ? AND id = ?"  # noqa: S608 - a constant
        with self.database.reading() as db:
            row = db.execute(query, (device, source, event_id)).fetchone()
        return None if row is None else _event(row)

    def counts(self, wanted: Filter, steps: Sequence[int]) -> dict[str, list[int]]:
        """Return the number of events of each label, that of most events first, in spans that follow each other.

        The first begins at `from_ms`, a full quarter of an hour; steps: the length of each in quarters. The filter's
        `until_ms` is not looked at; `min_score` counts in hundredths, rounded up. Tests are never counted.
        """
        scope = (wanted.device, wanted.source, wanted.label, wanted.min_score)
        with self.database.reading() as db:
            return counts.read(db, *scope, from_ms=wanted.from_ms or 0, steps=steps)

    def sequences(self) -> dict[str, DeviceSequence]:
        """Return the sequence of every device."""
        with self.database.reading() as db:
            return {device: _sequence(state) for device, state in db.execute("SELECT device, state FROM sequences")}


def upgrade(db: Connection, layout: int) -> None:
    """Bring a file of an older layout, with all tables of this one, up to this one."""
    if layout < 2:
        db.execute("DROP TABLE IF EXISTS slots")
        rows = db.execute("SELECT device, source, begin_ms, label, score FROM events WHERE test = 0 ORDER BY begin_ms")
        counts.rebuild(db, rows)


def note(
    changes: Changes, source: tuple[str, str], begin_ms: int, label: str | None, score: float, change: int
) -> None:
    """Count an event of a source (device, source) once more, or once less, unless it is not counted."""
    if label is not None:
        counts.note(changes, source, begin_ms, label, score, change)


def counted_label(label: str, verdict: str | None, given_label: str | None) -> str | None:
    """Return the label under which an event is counted; None: it is not."""
    return None if verdict == "wrong" else given_label or label


def _page(db: Connection, index: str, wanted: Filter, after: Cursor | None, count: int) -> list[HistoryEvent]:
    """Return events in the order of one index."""
    conditions, values = _conditions(wanted, index)
    if after is not None:
        conditions.append("(begin_ms, number) < (?, ?)")
        values += [after.begin_ms, after.number]
    where = " AND ".join(conditions) or "TRUE"
    query = (
        f"SELECT {_COLUMNS} FROM events INDEXED BY events_by_{index} WHERE {where} "  # noqa: S608 - names of this module
        "ORDER BY begin_ms DESC, number DESC LIMIT ?"
    )
    return [_event(row) for row in db.execute(query, (*values, count))]


def _put(db: Connection, detection: Detection, received_ms: int, changes: Changes, files: ModelFiles) -> bool:
    """Insert a detection or join it to the other half of its event; True if it was new."""
    key = (detection.device, detection.source, detection.id)
    kind = _ONSET if detection.kind == "onset" else _OFFSET
    at_ms = round(detection.at.timestamp() * 1000)
    # an offset without its onset, by a clock that begins in 1970: places of pages are whole numbers from 0 on
    begin_ms = at_ms if kind == _ONSET else max(0, at_ms - round(detection.duration_s * 1000))
    begin_error_s, end_error_s = (detection.at_error_s, None) if kind == _ONSET else (None, detection.at_error_s)
    row = db.execute(
        "SELECT number, kinds, begin_ms, label, verdict, given_label, test, score FROM events "
        "WHERE device = ? AND source = ? AND id = ?",
        key,
    ).fetchone()
    if row is None:
        db.execute(
            f"INSERT INTO events ({_WRITTEN}, received_ms, model_file) VALUES (NULL{', ?' * 15})",  # noqa: S608 - a constant
            (
                *key,
                *(detection.label, detection.model, detection.score, begin_ms, begin_error_s),
                *(None if kind == _ONSET else at_ms, end_error_s, detection.duration_s),
                *(detection.test, kind, received_ms, files.number_of(detection.device, detection.model)),
            ),
        )
        if not detection.test:
            counts.note(changes, key[:2], begin_ms, detection.label, detection.score, 1)
        return True
    number, kinds, old_begin_ms, label, verdict, given_label, test, old_score = row
    if kinds & kind:
        return False
    if kind == _ONSET:
        db.execute(
            "UPDATE events SET kinds = kinds | 1, begin_ms = ?, begin_error_s = ?, score = max(score, ?) "
            "WHERE number = ?",
            (begin_ms, begin_error_s, detection.score, number),
        )
    else:
        db.execute(
            "UPDATE events SET kinds = kinds | 2, end_ms = ?, end_error_s = ?, score = max(score, ?), duration_s = ? "
            "WHERE number = ?",
            (at_ms, end_error_s, detection.score, detection.duration_s, number),
        )
    if not test:
        counted = counted_label(label, verdict, given_label)
        note(changes, key[:2], old_begin_ms, counted, old_score, -1)
        new_begin_ms = begin_ms if kind == _ONSET else old_begin_ms
        note(changes, key[:2], new_begin_ms, counted, max(old_score, detection.score), 1)
    return True


def _is_rare(db: Connection, min_score: float) -> bool:
    """True if so few events have the score that to find and sort them is quicker than to read all in order."""
    few = "SELECT 1 FROM events INDEXED BY events_by_score WHERE score >= ? LIMIT ?"
    (number,) = db.execute(f"SELECT count(*) FROM ({few})", (min_score, _SORTED_AT_MOST + 1)).fetchone()  # noqa: S608
    return bool(number <= _SORTED_AT_MOST)


def _conditions(wanted: Filter, index: str) -> tuple[list[str], list[object]]:
    pairs: list[tuple[str, list[object]]] = [
        (condition, [value])
        for condition, value in (
            ("device = ?", wanted.device),
            ("source = ?", wanted.source),
            ("score >= ?", wanted.min_score),
            ("begin_ms >= ?", wanted.from_ms),
            ("begin_ms < ?", wanted.until_ms),
        )
        if value is not None
    ]
    if index in {"label", "given_label"}:
        pairs.append((f"{index} = ?", [wanted.label]))
    elif wanted.label is not None:
        pairs.append(("(label = ? OR given_label = ?)", [wanted.label] * 2))
    if wanted.verdict == "unreviewed":  # a test is no sound that could be judged
        pairs.append(("verdict IS NULL AND test = 0", []))
    elif wanted.verdict is not None:
        pairs.append(("verdict = ?", [wanted.verdict]))
    if not wanted.tests:
        pairs.append(("test = 0", []))
    return [condition for condition, _ in pairs], [value for _, values in pairs for value in values]


def _event(row: tuple[Any, ...]) -> HistoryEvent:
    number, device, source, event_id, label, model, score, begin_ms, begin_error_s, end_ms, end_error_s, *others = row
    duration_s, test, kinds, verdict, given_label, reviewer, reviewed_ms, model_sha256 = others
    return HistoryEvent(
        *(number, device, source, event_id, label, model, score),
        *(begin_ms, begin_error_s, end_ms, end_error_s, duration_s),
        test=bool(test),
        onset_lost=kinds == _OFFSET,
        verdict=verdict,
        given_label=given_label,
        reviewer=reviewer,
        reviewed_ms=reviewed_ms,
        model_sha256=model_sha256,
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
