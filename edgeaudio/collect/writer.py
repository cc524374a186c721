"""Batches of values into the tables of months, each in one transaction.

Owns: the statements, by which a row that comes again changes nothing, and what becomes of rows that it refuses.
Does not know: MQTT, when a batch is tried again (collector.py).

Rows are written in the order of their keys: two transactions with the same rows would else wait for each other.
"""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Insert, Table, bindparam, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY, insert

from edgeaudio.collect import chart_counts, counts, partitions
from edgeaudio.collect.counts import Counts
from edgeaudio.collect.partitions import Month
from edgeaudio.collect.rows import Row, row_of
from edgeaudio.fleet_database.database import Database, DatabaseError, NoPartitionError, RowError
from edgeaudio.fleet_database.migrations import migrate
from edgeaudio.fleet_database.tables import DETECTIONS, HEALTH, MISDATED, PARTITIONED, STATUS_CHANGES
from edgeaudio.throttled_log import LogThrottle
from edgeaudio.wire.payloads import Detection, Health, Status

log = logging.getLogger(__name__)

Shared = Detection | Status | Health
_Rows = Mapping[str, Sequence[Row]]  # by the table's name
_DETECTION_KEY: Final = ("id", "kind", "device", "source")
_KEYS: Final = {
    DETECTIONS.name: _DETECTION_KEY,
    MISDATED.name: _DETECTION_KEY,
    STATUS_CHANGES.name: ("device", "source", "since", "state", "reason"),
    HEALTH.name: ("device", "shard", "begins_at"),
}
_TABLES: Final = {table.name: table for table in (DETECTIONS, MISDATED, STATUS_CHANGES, HEALTH)}


class Writer:
    """Writes batches, from any thread. Also knows the database's clock, by which all times here are judged."""

    def __init__(self, database: Database, numbers: Counts, *, keep_months: int | None) -> None:
        self._database = database
        self._counts = numbers
        self._keep_months = keep_months
        self._lock = threading.Lock()
        self._ready = False
        self._offset = timedelta()  # of the database's clock, from the monotonic one
        self._throttle = LogThrottle()

    def prepare(self) -> None:
        """Bring the layout up to date and read the clock, at the start and after each failure. Raises DatabaseError."""
        with self._lock:
            if self._ready:
                return
            migrate(self._database)
            with self._database.transaction() as db:
                now: datetime = db.execute(text("SELECT now()")).scalar_one()
            self._offset = now - _monotonic()
            self._ready = True

    def now(self) -> datetime:
        """Return the time by the database's clock, as far as it is known."""
        return _monotonic() + self._offset

    def write(self, batch: Sequence[Shared]) -> None:
        """Commit values. Raises DatabaseError: then nothing of the batch is stored."""
        if not batch:
            return
        self.using(lambda: self._write(batch))

    def using(self, work: Callable[[], None]) -> None:
        """Do something with a database that is ready. Raises DatabaseError, and counts it."""
        try:
            self.prepare()
            work()
        except DatabaseError:
            with self._lock:
                self._ready = False
            self._counts.add(counts.FAILURES)
            raise

    def _write(self, batch: Sequence[Shared]) -> None:
        now = self.now()
        rows: dict[str, list[Row]] = {}
        expired = 0
        for value in batch:
            placed = row_of(value, now, self._keep_months)
            if placed is None:
                expired += 1
            else:
                rows.setdefault(placed[0].name, []).append(placed[1])
        stored = self._commit(rows)
        total = sum(map(len, rows.values()))
        self._counts.add(counts.STORED, stored)
        self._counts.add(counts.REPEATED, total - stored)
        self._counts.add(counts.EXPIRED, expired)
        if misdated := rows.get(MISDATED.name):
            self._counts.add(counts.MISDATED, len(misdated))
            self._warn("misdated", f"{len(misdated)} detections have a time that cannot be: see misdated_detections")

    def _commit(self, rows: _Rows) -> int:
        """Store rows; return how many were new. A row that PostgreSQL refuses is left out, and no other."""
        try:
            return self._insert_with_months(rows)
        except RowError as error:
            single = [(name, row) for name, some in rows.items() for row in some]
            if len(single) > 1:
                half = len(single) // 2
                return self._commit(_grouped(single[:half])) + self._commit(_grouped(single[half:]))
            self._counts.add(counts.UNSTORABLE)
            self._warn("unstorable", f"{error}: the message is left out")
            return 0

    def _insert_with_months(self, rows: _Rows) -> int:
        try:
            return self._insert(rows)
        except NoPartitionError:
            with self._database.transaction() as db:
                for name, some in rows.items():
                    if partitioned := PARTITIONED.get(name):
                        partitions.create(db, name, {Month.of(row[partitioned.month_of]) for row in some})
            return self._insert(rows)

    def _insert(self, rows: _Rows) -> int:
        with self._database.transaction() as db:
            stored = {name: _insert(db, _TABLES[name], some) for name, some in sorted(rows.items()) if some}
            if stored.get(DETECTIONS.name):
                chart_counts.note_stored(db, rows[DETECTIONS.name])
        return sum(stored.values())

    def _warn(self, fault: str, message: str) -> None:
        if self._throttle.is_due(fault, time.monotonic()):
            log.warning("%s", message)


def _insert(db: Connection, table: Table, rows: Sequence[Row]) -> int:
    """Store rows of one table; return how many were new, or newer."""
    key = _KEYS[table.name]
    # of one statement no two rows may have the same key: the last one counts, of health the newest
    ordered = sorted(rows, key=lambda row: row["at"]) if table is HEALTH else rows
    distinct = {tuple(row[name] for name in key): row for row in ordered}
    arrays = {name: [distinct[found][name] for found in sorted(distinct)] for name in rows[0]}
    return db.execute(_statement(table, tuple(arrays)), arrays).rowcount


@functools.cache
def _statement(table: Table, names: tuple[str, ...]) -> Insert:
    """Return the statement that stores rows given as an array a column: the same one for any number of rows."""
    columns = [table.columns[name] for name in names]
    arrays = [func.unnest(bindparam(column.name, type_=ARRAY(column.type))) for column in columns]
    statement = insert(table).from_select(names, select(*arrays))
    if table is not HEALTH:
        return statement.on_conflict_do_nothing()
    key = _KEYS[table.name]
    newest: dict[str, Any] = {name: statement.excluded[name] for name in names if name not in key}
    return statement.on_conflict_do_update(
        index_elements=key, set_=newest, where=statement.excluded["at"] > table.columns["at"]
    )


def _grouped(rows: Sequence[tuple[str, Row]]) -> _Rows:
    grouped: dict[str, list[Row]] = {}
    for name, row in rows:
        grouped.setdefault(name, []).append(row)
    return grouped


def _monotonic() -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=time.monotonic())
