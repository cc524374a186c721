"""Sounds that a fleet did not detect, marked by somebody; and the labels that are known.

Owns: the table `missed_sounds`. Does not know: who may mark (web/). Every method raises DatabaseError.
"""

from __future__ import annotations

from typing import Any, Final

from edgeaudio.dashboard import missed
from edgeaudio.dashboard.history import MAX_PAGE, Cursor, Filter
from edgeaudio.dashboard.missed import FullError, MissedPage, MissedSound
from edgeaudio.dashboard.postgres.store import FleetStore, at_of, ms_of

_COLUMNS: Final = "number, device, source, label, begins_at, ends_at, reviewer, marked_at"
# an event of the same source that holds all of it: its clip has the sound. As long as History looks for
_COVERED: Final = """(SELECT d.id FROM edgeaudio.detections d JOIN edgeaudio.detections e ON e.id = d.id
    AND e.device = d.device AND e.source = d.source AND e.kind = 'offset'
    AND e.at BETWEEN m.ends_at AND m.ends_at + interval '10 minutes'
    WHERE d.device = m.device AND d.source = m.source AND d.kind = 'onset'
    AND d.at BETWEEN m.begins_at - interval '10 minutes' AND m.begins_at LIMIT 1)"""
# from one label to the next by an index, and so without reading every detection
_LABELS: Final = """WITH RECURSIVE
    known(label, place) AS ((SELECT min({column}), 1 FROM {table}) UNION ALL
        SELECT (SELECT min({column}) FROM {table} WHERE {column} > known.label), place + 1 FROM known
        WHERE label IS NOT NULL AND place < :count)
    SELECT label FROM known WHERE label IS NOT NULL"""
_LABELLED: Final = (("detections", "label"), ("reviews", "given_label"), ("missed_sounds", "label"))


class FleetMissedSounds:
    """The table."""

    def __init__(self, store: FleetStore) -> None:
        self._store = store

    def add(
        self, device: str, source: str, label: str, span_ms: tuple[int, int], reviewer: str, now_s: float
    ) -> MissedSound:
        """Add a sound. Raises FullError."""
        with self._store.session() as db:
            ((count,),) = db.rows("SELECT count(*) FROM edgeaudio.missed_sounds")
            if count >= missed.MAX_MISSED:
                raise FullError(f"there are {missed.MAX_MISSED:,} missed sounds already: export them, and remove some")
            (row,) = db.rows(
                "INSERT INTO edgeaudio.missed_sounds (device, source, label, begins_at, ends_at, reviewer, marked_at) "  # noqa: S608 - constants
                f"VALUES (:device, :source, :label, :begin, :end, :reviewer, :now) RETURNING {_COLUMNS}",
                device=device,
                source=source,
                label=label,
                begin=at_of(span_ms[0]),
                end=at_of(span_ms[1]),
                reviewer=reviewer,
                now=at_of(int(now_s * 1000)),
            )
        return _sound(row)

    def remove(self, numbers: tuple[int, ...]) -> list[MissedSound]:
        """Remove sounds; return those that there were."""
        query = (
            f"DELETE FROM edgeaudio.missed_sounds WHERE number = ANY(CAST(:numbers AS bigint[])) RETURNING {_COLUMNS}"  # noqa: S608 - a constant
        )
        with self._store.session() as db:
            removed = {row[0]: _sound(row) for row in db.rows(query, numbers=list(numbers))}
        return [removed[number] for number in dict.fromkeys(numbers) if number in removed]

    def page(self, wanted: Filter, after: Cursor | None = None, limit: int = 100) -> MissedPage:
        """Return a page. Of the filter device, source, label and times count."""
        chosen: list[tuple[str, str, Any]] = [
            ("device = :device", "device", wanted.device),
            ("source = :source", "source", wanted.source),
            ("label = :label", "label", wanted.label),
            ("begins_at >= :first", "first", None if wanted.from_ms is None else at_of(wanted.from_ms)),
            ("begins_at < :until", "until", None if wanted.until_ms is None else at_of(wanted.until_ms)),
        ]
        conditions = [condition for condition, _, value in chosen if value is not None]
        values = {name: value for _, name, value in chosen if value is not None}
        if after is not None:
            conditions.append("(begins_at, number) < (:place, :number)")
            values |= {"place": at_of(after.begin_ms), "number": after.number}
        limit = max(1, min(limit, MAX_PAGE))
        query = (
            f"SELECT {_COLUMNS}, {_COVERED} FROM edgeaudio.missed_sounds m WHERE {' AND '.join(conditions) or 'TRUE'} "  # noqa: S608 - of this module
            "ORDER BY begins_at DESC, number DESC LIMIT :count"
        )
        with self._store.session() as db:
            rows = db.rows(query, **values, count=limit + 1)
        sounds = tuple(_sound(row) for row in rows[:limit])
        return MissedPage(sounds, sounds[-1].cursor if len(rows) > limit else None)

    def labels(self) -> list[str]:
        """Return the labels that are known, in their order: of models, and those that people gave."""
        with self._store.session() as db:
            found = {
                label
                for table, column in _LABELLED
                for (label,) in db.rows(
                    _LABELS.format(table=f"edgeaudio.{table}", column=column), count=missed.MAX_LABELS
                )
            }
        return sorted(found)[: missed.MAX_LABELS]


def _sound(row: tuple[Any, ...]) -> MissedSound:
    number, device, source, label, begin, end, reviewer, marked, *covered_by = row
    return MissedSound(number, device, source, label, ms_of(begin), ms_of(end), reviewer, ms_of(marked), *covered_by)
