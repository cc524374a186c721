"""What is now, and what goes with age: the work of one process among all that collect into one database.

Owns: the tables `devices` and `sources`, availability's changes, next month's partitions, and dropping old ones.
Does not know: what happened (writer.py), MQTT, which process is that one (state_thread.py).

Availability and a cleared status carry no time, so only the broker's own order tells which is the newest; of a shared
subscription that order is lost. So one process receives them over a plain one, which begins with what is retained.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection, delete, or_, select
from sqlalchemy.dialects.postgresql import insert

from edgeaudio.collect import chart_counts, partitions
from edgeaudio.collect.partitions import Month
from edgeaudio.collect.rows import shard_text, source_row
from edgeaudio.collect.writer import Writer
from edgeaudio.fleet_database.database import Database, DatabaseError
from edgeaudio.fleet_database.tables import AVAILABILITY_CHANGES, DEVICES, MISDATED, PARTITIONED, SOURCES
from edgeaudio.throttled_log import LogThrottle
from edgeaudio.wire.payloads import Availability, Removed, Status, Value

log = logging.getLogger(__name__)

_EVERY_S: Final = 3600.0
_COUNT_EVERY_S: Final = 10.0
_COUNT_FOR_S: Final = 2.0
_CLOCKS_AGREE: Final = timedelta(hours=1)
_DAYS_OF_MONTH: Final = 31


class Keeper:
    """The work of the one. Called by one thread; every method raises DatabaseError."""

    def __init__(self, database: Database, writer: Writer, *, keep_months: int | None) -> None:
        self._database = database
        self._writer = writer
        self._keep_months = keep_months
        self._kept_s = float("-inf")  # monotonic
        self._count_s = float("-inf")  # monotonic: when it is due
        self._count_at_once = 32
        self._throttle = LogThrottle()
        self._seen: set[tuple[str, str]] = set()  # devices with shards, sources with devices, of this subscription

    def keep(self) -> None:
        """Make partitions ahead and drop what is too old, once an hour."""
        if time.monotonic() - self._kept_s < _EVERY_S:
            return
        self._writer.using(self._keep)
        self._kept_s = time.monotonic()

    def count(self) -> None:
        """Count for charts what has been noted since, for some seconds at most, every ten. Never raises."""
        begun_s = time.monotonic()
        if begun_s < self._count_s:
            return
        is_all = False
        try:
            while not is_all and time.monotonic() - begun_s < _COUNT_FOR_S:
                step_s = time.monotonic()
                is_all = chart_counts.count_noted(self._database, self._count_at_once)
                # a quarter of an hour of a source may have one event, that of all sources many thousands
                is_slow = time.monotonic() - step_s > _COUNT_FOR_S / 2
                self._count_at_once = self._count_at_once // 2 if is_slow else self._count_at_once * 2
                self._count_at_once = min(max(self._count_at_once, 1), chart_counts.MAX_AT_ONCE)
        except DatabaseError as error:
            self._count_at_once = 1
            is_all = True
            if self._throttle.is_due("charts", time.monotonic()):
                log.warning("charts are behind: %s; it is tried again", error)
        self._count_s = time.monotonic() + (_COUNT_EVERY_S if is_all else 0.0)

    def write(self, values: Sequence[Value]) -> None:
        """Commit what is now, in the order in which it came."""
        if values:
            self._writer.using(lambda: self._write(values))

    def begin(self) -> None:
        """Note that a subscription begins, which tells everything that the broker has retained."""
        self._seen = set()

    def forget_others(self) -> None:
        """Delete what the subscription has not told of: it was cleared while nobody received that."""
        self._writer.using(self._forget_others)

    def _forget_others(self) -> None:
        with self._database.transaction() as db:
            for table, key in ((DEVICES, "shard"), (SOURCES, "source")):
                for device, name in db.execute(select(table.c.device, table.c[key])).all():
                    if (f"{key} {device}", name) not in self._seen:
                        db.execute(delete(table).where(table.c.device == device, table.c[key] == name))

    def _write(self, values: Sequence[Value]) -> None:
        with self._database.transaction() as db:
            for value in values:
                match value:
                    case Availability(device, _, shard):
                        self._seen.add((f"shard {device}", shard_text(shard)))
                        self._put_availability(db, value)
                    case Status(device, source):
                        self._seen.add((f"source {device}", source))
                        _put_source(db, value)
                    case Removed(device, None, shard):
                        is_it = (DEVICES.c.device == device, DEVICES.c.shard == shard_text(shard))
                        db.execute(delete(DEVICES).where(*is_it))
                    case Removed(device, source):
                        db.execute(delete(SOURCES).where(SOURCES.c.device == device, SOURCES.c.source == source))

    def _put_availability(self, db: Connection, value: Availability) -> None:
        now = self._writer.now()
        row = {"device": value.device, "shard": shard_text(value.shard), "online": value.online}
        statement = insert(DEVICES).values(**row, changed_at=now)
        changed = db.execute(
            statement.on_conflict_do_update(
                index_elements=("device", "shard"),
                set_={"online": statement.excluded.online, "changed_at": statement.excluded.changed_at},
                where=DEVICES.c.online != statement.excluded.online,
            )
        ).rowcount
        if changed:
            if Month.of(now) not in partitions.existing(db, AVAILABILITY_CHANGES.name):
                partitions.create(db, AVAILABILITY_CHANGES.name, [Month.of(now)])
            db.execute(insert(AVAILABILITY_CHANGES).values(**row, at=now).on_conflict_do_nothing())

    def _keep(self) -> None:
        now = self._writer.now()
        month = Month.of(now)
        for name in PARTITIONED:
            with self._database.transaction() as db:
                partitions.create(db, name, (month, month.plus(1)))
        if self._keep_months is None:
            return
        own = time.time() - now.timestamp()
        if abs(own) > _CLOCKS_AGREE.total_seconds():
            log.error("this machine's clock and the database's are %.0f s apart: nothing old is dropped", abs(own))
            return
        oldest = month.plus(-self._keep_months)
        for name in PARTITIONED:
            self._drop_before(name, oldest)
        with self._database.transaction() as db:
            limit = now - timedelta(days=_DAYS_OF_MONTH * self._keep_months)
            db.execute(delete(MISDATED).where(MISDATED.c.received_at < limit))
            chart_counts.prune(db, oldest.begin)

    def _drop_before(self, name: str, oldest: Month) -> None:
        with self._database.transaction() as db:
            old = [month for month in partitions.existing(db, name) if month < oldest]
        for month in old:  # each in a transaction of its own: a reader of one does not hold up the others
            try:
                with self._database.transaction() as db:
                    partitions.drop(db, name, month)
            except DatabaseError as error:
                log.warning("%s of %s cannot be dropped now: %s", name, month, error)
            else:
                log.info("%s of %s is older than %s months: dropped", name, month, self._keep_months)


def _put_source(db: Connection, value: Status) -> None:
    row = source_row(value)
    statement = insert(SOURCES).values(**row)
    names = [name for name in row if name not in {"device", "source"}]
    db.execute(
        statement.on_conflict_do_update(
            index_elements=("device", "source"),
            set_={name: statement.excluded[name] for name in names},
            where=or_(*(SOURCES.c[name].is_distinct_from(statement.excluded[name]) for name in names)),
        )
    )
