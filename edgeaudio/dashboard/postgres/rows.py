"""Events as PostgreSQL tells them: an onset with its offset, or an offset whose onset is lost.

Owns: the two SELECTs, their conditions, and an event's place among the pages.
Does not know: which detections are one event (fleet_database/event_parts.py), pages (history.py), connections
(store.py), who judges (reviews.py).

An event's number is no number of arrival, as in SQLite: the lower 43 bits are a hash of its key, and the bits above
them the microseconds of its beginning. So the order of (begin_ms, number) is that of (at, hash), which an index has.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from edgeaudio.dashboard.history import Cursor, Filter, HistoryEvent
from edgeaudio.dashboard.postgres.store import EPOCH, at_of, ms_of
from edgeaudio.fleet_database.event_parts import IS_LOST, LOST_BEGIN, OFFSET, REVIEW, SCORE

_HASH_BITS: Final = 43  # and ten for 1,000 microseconds: a number that JavaScript has exactly
_HASH_MASK: Final = (1 << _HASH_BITS) - 1
HASH: Final = f"(hashtextextended(d.device || '/' || d.source || '/' || d.id, 0) & {_HASH_MASK})"
_REVIEWED: Final = "r.verdict, r.given_label, r.reviewer, r.reviewed_at"
ONSETS: Final = f"""SELECT {HASH} AS hash, d.device, d.source, d.id, d.label, d.model, {SCORE}, d.at AS begin,
    d.at_error_s, ending.at, ending.at_error_s, coalesce(ending.duration_s, d.duration_s), d.test, false, {_REVIEWED}
    FROM edgeaudio.detections d {REVIEW} {OFFSET} WHERE d.kind = 'onset'"""  # noqa: S608
LOST: Final = f"""SELECT {HASH} AS hash, d.device, d.source, d.id, d.label, d.model, d.score,
    {LOST_BEGIN} AT TIME ZONE 'UTC', CAST(NULL AS real), d.at, d.at_error_s, d.duration_s, d.test, true, {_REVIEWED},
    {LOST_BEGIN} AS begin FROM edgeaudio.detections d {REVIEW} WHERE d.kind = 'offset' AND {IS_LOST}"""  # noqa: S608


@dataclass
class Where:
    """Conditions with their values, for one of the two kinds of events."""

    is_lost: bool
    conditions: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return "".join(f" AND {condition}" for condition in self.conditions)

    def add(self, condition: str, **values: object) -> None:
        self.conditions.append(condition)
        self.values |= values

    def begins(self, comparison: str, name: str, at: datetime) -> None:
        """Compare the beginning with a time."""
        if self.is_lost:
            self.add(f"{LOST_BEGIN} {comparison} CAST(:{name} AS timestamp)", **{name: at.replace(tzinfo=None)})
        else:
            self.add(f"d.at {comparison} CAST(:{name} AS timestamptz)", **{name: at})

    def scores(self, least: float) -> None:
        # as the column has it: 0.9 is less than the nearest number of 64 bits
        self.add(f"{'d.score' if self.is_lost else SCORE} >= CAST(:min_score AS real)", min_score=least)

    def choose(self, wanted: Filter) -> None:
        """Add all of a filter but its label."""
        if wanted.device is not None:
            self.add("d.device = :device", device=wanted.device)
        if wanted.source is not None:
            self.add("d.source = :source", source=wanted.source)
        if wanted.min_score is not None:
            self.scores(wanted.min_score)
        if wanted.from_ms is not None:
            self.begins(">=", "first", at_of(wanted.from_ms))
        if wanted.until_ms is not None:
            self.begins("<", "until", at_of(wanted.until_ms))
        if wanted.verdict == "unreviewed":
            self.add("r.verdict IS NULL AND NOT d.test")
        elif wanted.verdict is not None:
            self.add("r.verdict = :verdict", verdict=wanted.verdict)
        if not wanted.tests:
            self.add("NOT d.test")

    def after(self, cursor: Cursor) -> None:
        """Choose what comes behind a place, going back in time."""
        at = at_of(cursor.begin_ms, min(cursor.number >> _HASH_BITS, 999))
        self.begins("<=", "place", at)
        begin = LOST_BEGIN if self.is_lost else "d.at"
        kind = "timestamp" if self.is_lost else "timestamptz"
        self.add(f"({begin} < CAST(:place AS {kind}) OR {HASH} < :place_hash)", place_hash=cursor.number & _HASH_MASK)


def event_of(row: tuple[Any, ...]) -> HistoryEvent:
    """Return a row of ONSETS or LOST as an event, without the hash of its model."""
    number, device, source, event_id, label, model, score, begin, begin_error_s, end, end_error_s, *others = row
    duration_s, test, is_lost, verdict, given_label, reviewer, reviewed_at = others[:7]
    begin_ms, microseconds = divmod((begin - EPOCH) // timedelta(microseconds=1), 1000)
    return HistoryEvent(
        *(microseconds << _HASH_BITS | number, device, source, event_id, label, model, score),
        *(begin_ms, begin_error_s, None if end is None else ms_of(end), end_error_s, duration_s),
        test=test,
        onset_lost=is_lost,
        verdict=verdict,
        given_label=given_label,
        reviewer=reviewer,
        reviewed_ms=None if reviewed_at is None else ms_of(reviewed_at),
    )


def begin_of(event: HistoryEvent) -> datetime:
    """Return when an event of this module begins, to the microsecond."""
    return at_of(event.begin_ms, event.number >> _HASH_BITS)
