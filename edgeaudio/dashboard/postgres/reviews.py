"""Verdicts on the events of a fleet.

Owns: the tables `reviews` and `review_log`, and that changes wait for each other, of all dashboards of one database.
What collect is to count anew is noted in the same transaction.
Does not know: who may (web/), pages (history.py). Every method raises DatabaseError.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from edgeaudio.dashboard import reviews
from edgeaudio.dashboard.history import HistoryEvent
from edgeaudio.dashboard.postgres.history import find
from edgeaudio.dashboard.postgres.store import FleetStore, at_of, ms_of
from edgeaudio.dashboard.reviews import MAX_LOGGED, Changed, Judgement, LoggedChange
from edgeaudio.fleet_database.queries import Session
from edgeaudio.packed_counts import QUARTER_MS

_LOCK: Final = 0x65646710  # of pg_advisory_xact_lock; the others: fleet_database/migrations.py, collect/
_KEY: Final = "device = :device AND source = :source AND id = :id"
_CUT_LOG: Final = f"""DELETE FROM edgeaudio.review_log WHERE {_KEY} AND number <= (
    SELECT number FROM edgeaudio.review_log WHERE {_KEY} ORDER BY number DESC LIMIT 1 OFFSET :kept)"""  # noqa: S608 - constants

_RECOUNT: Final = "INSERT INTO edgeaudio.uncounted VALUES (:device, :source, :quarter)"


class FleetReviews:
    """The verdicts."""

    def __init__(self, store: FleetStore) -> None:
        self._store = store

    def judge(self, judgements: Sequence[Judgement], reviewer: str, now_s: float) -> Changed:
        """Give or withdraw verdicts, all in one transaction. Another label that is the event's own is "right"."""
        before = []
        unchanged = left_out = 0
        with self._store.session() as db:
            db.run("SELECT pg_advisory_xact_lock(:lock)", lock=_LOCK)
            ((reviewed,),) = db.rows("SELECT count(*) FROM edgeaudio.reviews")
            for wanted in judgements:
                event = find(db, wanted.device, wanted.source, wanted.id)
                is_new = wanted.verdict is not None and event is not None and event.verdict is None
                if event is None or event.test or (is_new and reviewed >= reviews.MAX_REVIEWED):
                    left_out += 1
                    continue
                verdict, given_label = wanted.verdict, wanted.given_label
                if (verdict, given_label) == ("other", event.label):
                    verdict, given_label = "right", None
                if (verdict, given_label) == (event.verdict, event.given_label):
                    unchanged += 1
                    continue
                reviewed += (verdict is not None) - (event.verdict is not None)
                _set(db, Judgement(event.device, event.source, event.id, verdict, given_label), reviewer, now_s)
                db.run(_RECOUNT, device=event.device, source=event.source, quarter=event.begin_ms // QUARTER_MS)
                before.append(Judgement(event.device, event.source, event.id, event.verdict, event.given_label))
        return Changed(tuple(before), unchanged, left_out)

    def log(self, event: HistoryEvent) -> list[LoggedChange]:
        """Return the changes of an event's verdict, the newest first."""
        query = f"SELECT at, reviewer, verdict, given_label FROM edgeaudio.review_log WHERE {_KEY} ORDER BY number DESC"  # noqa: S608 - a constant
        with self._store.session() as db:
            rows = db.rows(query, device=event.device, source=event.source, id=event.id)
        return [LoggedChange(ms_of(at), *others) for at, *others in rows]


def _set(db: Session, new: Judgement, reviewer: str, now_s: float) -> None:
    key = {"device": new.device, "source": new.source, "id": new.id}
    change = {"verdict": new.verdict, "label": new.given_label, "reviewer": reviewer, "at": at_of(int(now_s * 1000))}
    if new.verdict is None:
        db.run(f"DELETE FROM edgeaudio.reviews WHERE {_KEY}", **key)  # noqa: S608 - a constant
    else:
        db.run(
            "INSERT INTO edgeaudio.reviews (device, source, id, verdict, given_label, reviewer, reviewed_at) "
            "VALUES (:device, :source, :id, :verdict, :label, :reviewer, :at) ON CONFLICT (device, source, id) "
            "DO UPDATE SET verdict = excluded.verdict, given_label = excluded.given_label, "
            "reviewer = excluded.reviewer, reviewed_at = excluded.reviewed_at",
            **key,
            **change,
        )
    db.run(
        "INSERT INTO edgeaudio.review_log (device, source, id, at, reviewer, verdict, given_label) "
        "VALUES (:device, :source, :id, :at, :reviewer, :verdict, :label)",
        **key,
        **change,
    )
    db.run(_CUT_LOG, **key, kept=MAX_LOGGED)
