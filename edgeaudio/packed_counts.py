"""Counts of sounds by quarter of an hour and score, packed: what the roll-ups of charts are made of. Pure.

Owns: the packed form of a day, which scopes an event counts in, and summing days into spans.
Does not know: the tables that keep it (SQLite's in dashboard/counts.py, PostgreSQL's in
collect/chart_counts.py), events.

A row is a label of a scope in a UTC day. Its entries are numbers of 32 bits: the quarter of the day (7 bits), the score
in hundredths (7 bits), the count (18 bits). Quarters, because zones differ by quarters; the day of a viewer is made of
them. A row a day, because a year of a fleet is then thousands of rows and not millions. If a row has many entries, they
are in the order of their scores, and the totals of its quarters are beside them, as 96 numbers of 32 bits.
A scope is a source of a device, a device (its source is empty), sources of a name (the device is), or all (both are).
"""

from __future__ import annotations

import math
import struct
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

QUARTER_MS: Final = 15 * 60 * 1000
QUARTERS: Final = 96  # of a UTC day
_COUNT_BITS: Final = 18
_MAX_COUNT: Final = (1 << _COUNT_BITS) - 1  # of one score in a quarter of an hour: 291 a second
_SCORE_BITS: Final = 7
_SCORES: Final = (1 << _SCORE_BITS) - 1 << _COUNT_BITS  # the bits of the score
_QUARTER_SHIFT: Final = _COUNT_BITS + _SCORE_BITS
_FEW: Final = 512  # bytes of a day's entries: more have totals, and those with fewer are summed together

RowKey: TypeAlias = tuple[str, str, int, str]
"""Device, source, day since 1970, label."""
Changes: TypeAlias = defaultdict[RowKey, Counter[int]]
"""Counts to be added, by row and by entry without its count."""


class Spans(NamedTuple):
    """Spans that follow each other, from a full quarter of an hour on; each a number of quarters long."""

    first: int  # quarter since 1970
    steps: Sequence[int]

    @property
    def first_day(self) -> int:
        return self.first // QUARTERS

    @property
    def last_day(self) -> int:
        return (self.first + sum(self.steps) - 1) // QUARTERS


def no_changes() -> Changes:
    """Return an empty collection of changes."""
    return defaultdict(Counter)


def note(changes: Changes, source: tuple[str, str], quarter: int, label: str, hundredths: int, change: int) -> None:
    """Add `change` events of a source (device, source) in every scope; `quarter` since 1970."""
    device, name = source
    day, entry = quarter // QUARTERS, (quarter % QUARTERS) << _SCORE_BITS | hundredths
    for scope in ((device, name), (device, ""), ("", name), ("", "")):
        changes[*scope, day, label][entry] += change


def hundredths_of(score: float) -> int:
    """Return a score as charts count it."""
    return min(max(math.floor(score * 100 + 1e-9), 0), 100)  # 0.29 * 100 is 28.999999999999996


def entries_of(packed: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield the entries of a row: quarter of its day, hundredths, count."""
    for entry in np.frombuffer(packed, "<u4").tolist():
        yield entry >> _QUARTER_SHIFT, (entry & _SCORES) >> _COUNT_BITS, entry & _MAX_COUNT


def merged(packed: bytes, wanted: Mapping[int, int]) -> bytes:
    """Return packed entries with changes; what is down to nothing goes."""
    if not packed:  # most rows of most sources hold one event, and are never read again
        entries = [key << _COUNT_BITS | min(change, _MAX_COUNT) for key, change in wanted.items() if change > 0]
        return struct.pack(f"<{len(entries)}I", *entries)
    old = np.frombuffer(packed, "<u4")
    changed = np.array(list(wanted), np.uint32)
    is_changed = np.isin(old >> _COUNT_BITS, changed)
    counts = {int(entry) >> _COUNT_BITS: int(entry) & _MAX_COUNT for entry in old[is_changed]}
    new = {key: counts.get(key, 0) + change for key, change in wanted.items()}
    return old[~is_changed].tobytes() + merged(b"", new)


def arranged(packed: bytes) -> tuple[bytes, bytes | None]:
    """Return entries as they are stored, and the totals of a row of many."""
    if len(packed) < _FEW:
        return packed, None
    entries = np.frombuffer(packed, "<u4")
    in_order = entries[np.argsort(entries & _SCORES, kind="stable")]
    return in_order.tobytes(), _by_quarter(entries).tobytes()


def summed(rows: Iterable[tuple[int, str, bytes, bool]], spans: Spans, min_score: float | None) -> dict[str, list[int]]:
    """Return the counts of each label in spans, that of most sounds first.

    rows: each a day, a label, its entries or totals, and whether they are totals. min_score counts in full hundredths,
    rounded up, and needs entries.
    """
    steps = spans.steps
    # the span of each quarter of these days; what is before and behind counts into one more, which is dropped
    span_of = np.full((spans.last_day - spans.first_day + 1) * QUARTERS, len(steps), np.int64)
    begin = spans.first - spans.first_day * QUARTERS
    span_of[begin : begin + sum(steps)] = np.repeat(np.arange(len(steps)), steps)
    by_label: defaultdict[str, list[tuple[int, bytes, bool]]] = defaultdict(list)
    for day, name, entries, is_total in rows:
        by_label[name].append(((day - spans.first_day) * QUARTERS, entries, is_total))
    least = least_hundredths(min_score)
    found = {name: _summed(days, span_of, len(steps), least) for name, days in by_label.items()}
    by_most = sorted(found.items(), key=lambda item: (-int(item[1].sum()), item[0]))
    return {name: counts.tolist() for name, counts in by_most if counts.any()}


def least_hundredths(min_score: float | None) -> int:
    """Return the least score that counts; 0: all do, and totals are enough."""
    return 0 if min_score is None else math.ceil(min_score * 100 - 1e-9)


def _by_quarter(entries: NDArray[np.uint32]) -> NDArray[np.uint32]:
    return np.bincount(entries >> _QUARTER_SHIFT, entries & _MAX_COUNT, QUARTERS).astype("<u4")


def _summed(
    days: Sequence[tuple[int, bytes, bool]], span_of: NDArray[np.int64], spans: int, least: int
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
