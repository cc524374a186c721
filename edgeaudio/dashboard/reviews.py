"""What people say about events: right, wrong, or another label.

Owns: how a verdict changes an event and what is counted, and the log of who changed what.
Does not know: who may (web/), pages of events (history.py), sounds that were not detected (missed.py).

A verdict stands in its event's row, so that an event and its verdict are kept and searched together. Counts change in
the same transaction. Every method raises DatabaseError.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edgeaudio.dashboard import counts
from edgeaudio.dashboard.database import Connection
from edgeaudio.dashboard.history import History, HistoryEvent, Verdict, counted_label, note
from edgeaudio.packed_counts import no_changes

MAX_REVIEWED = 1_000_000  # events: what is reviewed does not go with age
MAX_LOGGED: Final = 20  # changes of one event
SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS review_log (
        number INTEGER PRIMARY KEY, event INTEGER NOT NULL, at_ms INTEGER NOT NULL, reviewer TEXT NOT NULL,
        verdict TEXT, given_label TEXT)""",
    "CREATE INDEX IF NOT EXISTS review_log_by_event ON review_log (event)",
    """CREATE TRIGGER IF NOT EXISTS review_log_goes_with_its_event AFTER DELETE ON events
        BEGIN DELETE FROM review_log WHERE event = OLD.number; END""",
    # for stores that keep what belongs to an event
    "CREATE VIEW IF NOT EXISTS reviewed AS SELECT device, source, id FROM events WHERE verdict IS NOT NULL",
)
_FIND: Final = """SELECT number, device, source, label, begin_ms, score, verdict, given_label, test FROM events
    WHERE device = ? AND source = ? AND id = ?"""
_COUNT_REVIEWED: Final = "SELECT count(*) FROM events INDEXED BY events_by_verdict WHERE verdict IS NOT NULL"
_CUT_LOG: Final = """DELETE FROM review_log WHERE event = ?1 AND number <=
    (SELECT number FROM review_log WHERE event = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)"""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict on one event. None: there is none, or it is withdrawn."""

    device: str
    source: str
    id: str
    verdict: Verdict | None
    given_label: str | None = None  # of "other", and of it alone


@dataclass(frozen=True, slots=True)
class LoggedChange:
    """One change of an event's verdict."""

    at_ms: int
    reviewer: str
    verdict: Verdict | None
    given_label: str | None


@dataclass(frozen=True, slots=True)
class Changed:
    """What became of judgements."""

    before: tuple[Judgement, ...]  # of the events that were changed: to judge so again undoes it
    unchanged: int  # had this verdict already
    left_out: int  # are not in the history, are tests, or are one too many


class Reviews:
    """The verdicts."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._database = history.database

    def judge(self, judgements: Sequence[Judgement], reviewer: str, now_s: float) -> Changed:
        """Give or withdraw verdicts, all in one transaction. Another label that is the event's own is "right"."""
        before = []
        unchanged = left_out = 0
        changes = no_changes()
        oldest_ms = self._history.oldest_ms(now_s)
        with self._database.writing() as db:
            (reviewed,) = db.execute(_COUNT_REVIEWED).fetchone()
            for wanted in judgements:
                row = db.execute(_FIND, (wanted.device, wanted.source, wanted.id)).fetchone()
                if row is None or row[-1] or (wanted.verdict and not row[6] and reviewed >= MAX_REVIEWED):
                    left_out += 1
                    continue
                number, device, source, label, begin_ms, score, verdict, given_label, _ = row
                new = (wanted.verdict, wanted.given_label)
                if new == ("other", label):
                    new = ("right", None)
                if new == (verdict, given_label):
                    unchanged += 1
                    continue
                reviewed += (new[0] is not None) - (verdict is not None)
                _set(db, number, *new, reviewer, int(now_s * 1000))
                if begin_ms >= oldest_ms:  # what is older is counted no more
                    counted = counted_label(label, verdict, given_label)
                    note(changes, (device, source), begin_ms, counted, score, -1)
                    note(changes, (device, source), begin_ms, counted_label(label, *new), score, 1)
                before.append(Judgement(wanted.device, wanted.source, wanted.id, verdict, given_label))
            counts.write(db, changes)
        return Changed(tuple(before), unchanged, left_out)

    def log(self, event: HistoryEvent) -> list[LoggedChange]:
        """Return the changes of an event's verdict, the newest first."""
        query = "SELECT at_ms, reviewer, verdict, given_label FROM review_log WHERE event = ? ORDER BY number DESC"
        with self._database.reading() as db:
            return [LoggedChange(*row) for row in db.execute(query, (event.number,))]


def _set(
    db: Connection, number: int, verdict: Verdict | None, given_label: str | None, reviewer: str, at_ms: int
) -> None:
    db.execute(
        "UPDATE events SET verdict = ?, given_label = ?, reviewer = ?, reviewed_ms = ? WHERE number = ?",
        (verdict, given_label, *((reviewer, at_ms) if verdict else (None, None)), number),
    )
    db.execute("INSERT INTO review_log VALUES (NULL, ?, ?, ?, ?, ?)", (number, at_ms, reviewer, verdict, given_label))
    db.execute(_CUT_LOG, (number, MAX_LOGGED))
