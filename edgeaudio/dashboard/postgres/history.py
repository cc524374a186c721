"""Events and their numbers, from the tables that collect fills.

Owns: pages, counts, and which file an event's model was. Does not know: how a row is made of detections (rows.py),
verdicts (reviews.py). Nothing is written here.

Charts read what collect has counted beforehand. A search of a rare score reads events until it has a page. What takes
too long is refused. Every method raises DatabaseError.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from edgeaudio.dashboard.history import MAX_PAGE, Cursor, Filter, HistoryEvent, Page
from edgeaudio.dashboard.postgres.rows import LOST, ONSETS, Where, begin_of, event_of
from edgeaudio.dashboard.postgres.store import FleetStore
from edgeaudio.fleet_database.queries import Session
from edgeaudio.packed_counts import QUARTER_MS, Spans, least_hundredths, summed

_COUNTS: Final = """SELECT day, label, {packed} FROM edgeaudio.counts WHERE device = :device AND source = :source
    AND day BETWEEN :first AND :last AND (CAST(:label AS text) IS NULL OR label = :label)"""
# of a row that has its totals the entries need not be read, unless their scores matter
_TOTALS: Final = _COUNTS.format(packed="coalesce(totals, entries), totals IS NOT NULL")
_ENTRIES: Final = _COUNTS.format(packed="entries, false")
# reported every few minutes, and as soon as it changes
_HASHES: Final = """SELECT k.number, (SELECT h.models ->> k.model FROM edgeaudio.health h WHERE h.device = k.device
    AND h.begins_at BETWEEN k.at - interval '10 minutes' AND k.at + interval '10 minutes'
    AND h.models ->> k.model IS NOT NULL ORDER BY h.begins_at LIMIT 1)
    FROM unnest(CAST(:numbers AS bigint[]), CAST(:devices AS text[]), CAST(:models AS text[]),
    CAST(:times AS timestamptz[])) AS k (number, device, model, at)"""

# where its score is from
_MEMBERS: Final = """SELECT members FROM edgeaudio.detections WHERE device = :device AND source = :source AND id = :id
    AND members IS NOT NULL ORDER BY score DESC LIMIT 1"""


class FleetHistory:
    """The events of a fleet."""

    def __init__(self, store: FleetStore) -> None:
        self._store = store

    def page(self, wanted: Filter, after: Cursor | None = None, limit: int = 100) -> Page:
        """Return a page of events, from the newest to the oldest."""
        limit = max(1, min(limit, MAX_PAGE))
        # each by an index of its own: with OR between them there would be none
        labels = (None,) if wanted.label is None else ("d.label = :label", "r.given_label = :label")
        with self._store.session() as db:
            found = {
                (event.device, event.source, event.id): event
                for condition in labels
                for event in _newest(db, wanted, condition, after, limit + 1)
            }
            events = sorted(found.values(), key=lambda event: (event.begin_ms, event.number), reverse=True)
            page = _with_hashes(db, events[:limit])
        return Page(page, events[limit - 1].cursor if len(events) > limit else None)

    def event(self, device: str, source: str, event_id: str) -> HistoryEvent | None:
        """Return one event; None: it is not here."""
        with self._store.session() as db:
            found = find(db, device, source, event_id)
            if found is None:
                return None
            rows = db.rows(_MEMBERS, device=device, source=source, id=event_id)
            members = tuple(rows[0][0].items()) if rows else ()
            return replace(_with_hashes(db, [found])[0], members=members)

    def counts(self, wanted: Filter, steps: Sequence[int]) -> dict[str, list[int]]:
        """Return the number of events of each label, that of most events first, in spans that follow each other.

        As History.counts does, from what collect has counted until some seconds ago.
        """
        spans = Spans((wanted.from_ms or 0) // QUARTER_MS, steps)
        totals = least_hundredths(wanted.min_score) == 0
        with self._store.session() as db:
            rows = db.rows(
                _TOTALS if totals else _ENTRIES,
                device=wanted.device or "",
                source=wanted.source or "",
                first=spans.first_day,
                last=spans.last_day,
                label=wanted.label,
            )
        return summed(
            ((day, label, bytes(packed), is_total) for day, label, packed, is_total in rows), spans, wanted.min_score
        )


def find(db: Session, device: str, source: str, event_id: str) -> HistoryEvent | None:
    """Return one event, without the hash of its model; None: it is not here."""
    for events in (ONSETS, LOST):
        query = f"{events} AND d.device = :device AND d.source = :source AND d.id = :id LIMIT 1"
        if rows := db.rows(query, device=device, source=source, id=event_id):
            return event_of(rows[0])
    return None


def _newest(db: Session, wanted: Filter, label: str | None, after: Cursor | None, count: int) -> list[HistoryEvent]:
    """Return the newest events that pass, in no order: at least as many as that, of all that there are."""
    found: list[HistoryEvent] = []
    for events in (ONSETS, LOST):
        where = Where(events is LOST)
        where.choose(wanted)
        if label is not None:
            where.add(label, label=wanted.label)
        if after is not None:
            where.after(after)
        if events is LOST and len(found) == count:  # what begins before these is on a later page
            where.begins(">=", "last", begin_of(found[-1]))
        query = f"{events}{where} ORDER BY begin DESC, hash DESC LIMIT :count"
        found += map(event_of, db.rows(query, **where.values, count=count))
    return found


def _with_hashes(db: Session, events: Sequence[HistoryEvent]) -> tuple[HistoryEvent, ...]:
    """Return events with the hashes of their models, where the device reported them within ten minutes."""
    if not events:
        return ()
    hashes = dict(
        db.rows(
            _HASHES,
            numbers=list(range(len(events))),
            devices=[event.device for event in events],
            models=[event.model for event in events],
            times=[begin_of(event) for event in events],
        )
    )
    return tuple(replace(event, model_sha256=hashes[number]) for number, event in enumerate(events))
