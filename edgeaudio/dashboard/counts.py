"""How many sounds began in each quarter of an hour, by label and score: what charts are made of.

Owns: the table of these roll-ups, their packed form, and which scopes are counted. Does not know: events (history.py),
zones, what is drawn.

A row is a label of a scope in a UTC day. Its entries are numbers of 32 bits: the quarter of the day (7 bits), the score
in hundredths (7 bits), the count (18 bits). Quarters, because zones differ by quarters; the day of a viewer is made of
them. A row a day, because a year of a fleet is then thousands of rows and not millions. If a row has many entries, they
are in the order of their scores, and the totals of its quarters are beside them, as 96 numbers of 32 bits.
Callers hold the transaction.
"""

from __future__ import annotations

import math
import struct
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgeaudio.dashboard.database import Connection

QUARTER_MS: Final = 15 * 60 * 1000
QUARTERS: Final = 96  # of a UTC day
SCHEMA: Final = (
    # of a source, of a device (its source is empty), of sources of that name (the device is), and of all (both are)
    """CREATE TABLE IF NOT EXISTS counts (
        device TEXT NOT NULL, source TEXT NOT NULL, day INTEGER NOT NULL, label TEXT NOT NULL, entries BLOB NOT NULL,
        totals BLOB, PRIMARY KEY (device, source, day, label)) WITHOUT ROWID""",
)
_COUNT_BITS: Final = 18
_MAX_COUNT: Final = (1 << _COUNT_BITS) - 1  # of one score in a quarter of an hour: 291 a second
_SCORE_BITS: Final = 7
_SCORES: Final = (1 << _SCORE_BITS) - 1 << _COUNT_BITS  # the bits of the score
_QUARTER_SHIFT: Final = _COUNT_BITS + _SCORE_BITS
_FEW: Final = 512  # bytes of a day's entries: more have totals, and those with fewer are summed together
_EVENTS_AT_ONCE: Final = 200_000

_RowKey: TypeAlias = tuple[str, str, int, str]
Changes: TypeAlias = defaultdict[_RowKey, Counter[int]]
"""Counts to be added, by row and by entry without its count."""


def no_changes() -> Changes:
    """Return an empty collection of changes."""
    return defaultdict(Counter)


def note(changes: Changes, source: tuple[str, str], begin_ms: int, label: str, score: float, change: int) -> None:
    """Add one event of a source (device, source), or take it away (`change` is -1), in every scope."""
    device, name = source
    quarter = begin_ms // QUARTER_MS
    day, entry = quarter // QUARTERS, (quarter % QUARTERS) << _SCORE_BITS | _hundredths(score)
    for scope in ((device, name), (device, ""), ("", name), ("", "")):
        changes[*scope, day, label][entry] += change


def write(db: Connection, changes: Changes) -> None:
    """Add the changes to the table."""
    for key, by_entry in changes.items():
        wanted = {entry: change for entry, change in by_entry.items() if change}
        if not wanted:
            continue
        row = db.execute(
            "SELECT entries FROM counts WHERE device = ? AND source = ? AND day = ? AND label = ?", key
        ).fetchone()
        entries = _merged(b"" if row is None else row[0], wanted)
        if entries:
            db.execute(
                "INSERT INTO counts VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (device, source, day, label) "
                "DO UPDATE SET entries = excluded.entries, totals = excluded.totals",
                (*key, *_arranged(entries)),
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
    first = from_ms // QUARTER_MS
    first_day, last_day = first // QUARTERS, (first + sum(steps) - 1) // QUARTERS
    # the span of each quarter of these days; what is before and behind counts into one more, which is dropped
    span_of = np.full((last_day - first_day + 1) * QUARTERS, len(steps), np.int64)
    begin = first - first_day * QUARTERS
    span_of[begin : begin + sum(steps)] = np.repeat(np.arange(len(steps)), steps)
    least = 0 if min_score is None else math.ceil(min_score * 100 - 1e-9)
    # of a row that has its totals the entries need not be read, unless their scores matter
    rows = db.execute(
        "SELECT day, label, iif(?, coalesce(totals, entries), entries), ? AND totals IS NOT NULL FROM counts "
        "WHERE device = ? AND source = ? AND day BETWEEN ? AND ? AND (? IS NULL OR label = ?)",
        (least == 0, least == 0, device or "", source or "", first_day, last_day, label, label),
    )
    by_label: defaultdict[str, list[tuple[int, bytes, int]]] = defaultdict(list)
    for day, name, entries, is_total in rows:
        by_label[name].append(((day - first_day) * QUARTERS, entries, is_total))
    found = {name: _summed(days, span_of, len(steps), least) for name, days in by_label.items()}
    by_most = sorted(found.items(), key=lambda item: (-int(item[1].sum()), item[0]))
    return {name: counts.tolist() for name, counts in by_most if counts.any()}


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


def _hundredths(score: float) -> int:
    return min(max(math.floor(score * 100 + 1e-9), 0), 100)  # 0.29 * 100 is 28.999999999999996


def _merged(packed: bytes, wanted: Mapping[int, int]) -> bytes:
    """Return packed entries with changes; what is down to nothing goes."""
    if not packed:  # most rows of most sources hold one event, and are never read again
        entries = [key << _COUNT_BITS | min(change, _MAX_COUNT) for key, change in wanted.items() if change > 0]
        return struct.pack(f"<{len(entries)}I", *entries)
    old = np.frombuffer(packed, "<u4")
    changed = np.array(list(wanted), np.uint32)
    is_changed = np.isin(old >> _COUNT_BITS, changed)
    counts = {int(entry) >> _COUNT_BITS: int(entry) & _MAX_COUNT for entry in old[is_changed]}
    new = {key: counts.get(key, 0) + change for key, change in wanted.items()}
    return old[~is_changed].tobytes() + _merged(b"", new)


def _arranged(packed: bytes) -> tuple[bytes, bytes | None]:
    """Return entries as they are stored, and the totals of a row of many."""
    if len(packed) < _FEW:
        return packed, None
    entries = np.frombuffer(packed, "<u4")
    in_order = entries[np.argsort(entries & _SCORES, kind="stable")]
    return in_order.tobytes(), _by_quarter(entries).tobytes()


def _by_quarter(entries: NDArray[np.uint32]) -> NDArray[np.uint32]:
    return np.bincount(entries >> _QUARTER_SHIFT, entries & _MAX_COUNT, QUARTERS).astype("<u4")


def _summed(
    days: Sequence[tuple[int, bytes, int]], span_of: NDArray[np.int64], spans: int, least: int
) -> NDArray[np.int64]:
    """Return the counts of a label in each span.

    days: each the place of its first quarter in span_of, its entries or totals, and whether they are totals.
    """
    by_quarter = np.zeros(len(span_of))
    few = []
    for place, packed, is_total in days:
        if is_total:
            by_quarter[place : place + QUARTERS] += np.frombuffer(packed, "<u4")
        elif len(packed) < _FEW:
            few.append((place, packed))
        else:  # a day at a time stays within the processor's cache
            entries = np.frombuffer(packed, "<u4")
            first = int(np.searchsorted(entries & _SCORES, least << _COUNT_BITS))
            by_quarter[place : place + QUARTERS] += _by_quarter(entries[first:])
    lengths = np.array([len(packed) // 4 for _, packed in few], np.int64)
    places = np.repeat(np.array([place for place, _ in few], np.int64), lengths)
    entries = np.frombuffer(b"".join(packed for _, packed in few), "<u4")
    chosen = entries & _SCORES >= least << _COUNT_BITS
    np.add.at(by_quarter, (places + (entries >> _QUARTER_SHIFT))[chosen], (entries & _MAX_COUNT)[chosen])
    return np.bincount(span_of, by_quarter, spans + 1)[:spans].astype(np.int64)
