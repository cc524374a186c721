"""Tables of months: their partitions, made when they are needed and dropped when they are old.

Owns: names and bounds of partitions. Does not know: rows (writer.py), which month is old (keeper.py).

There is no default partition, which would fill unseen and then stand in the way of the month that it holds: a row
without a partition is an error of PostgreSQL, after which the partition is made. A partition is made as a table of its
own and then attached, which locks out nobody who reads or writes the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Final, NamedTuple, Self

from sqlalchemy import Connection, text

from edgeaudio.fleet_database.database import RowError
from edgeaudio.fleet_database.tables import PARTITIONED, SCHEMA

_LOCK: Final = 0x65646702


class Month(NamedTuple):
    """A month in UTC."""

    year: int
    month: int

    @classmethod
    def of(cls, at: datetime) -> Self:
        at = at.astimezone(UTC)
        return cls(at.year, at.month)

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the month that is written as 2026-11; None: it is none."""
        found = re.fullmatch(r"([0-9]{4})[-_](0[1-9]|1[0-2])", text)
        return None if found is None else cls(int(found[1]), int(found[2]))

    @property
    def begin(self) -> datetime:
        return datetime(self.year, self.month, 1, tzinfo=UTC)

    def plus(self, months: int) -> Month:
        years, month = divmod(self.month - 1 + months, 12)
        return Month(self.year + years, month + 1)

    def __str__(self) -> str:
        return f"{self.year:04}-{self.month:02}"


def create(db: Connection, table: str, months: Iterable[Month]) -> None:
    """Make the partitions of a table that are not there. Raises RowError where a table of that name is none of it."""
    partitioned = PARTITIONED[table]
    db.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})  # of those who make the same
    there = set(existing(db, table))
    for month in sorted(set(months) - there):
        name = f"{SCHEMA}.{table}_{month.year:04}_{month.month:02}"
        if db.scalar(text("SELECT to_regclass(:name)"), {"name": name}) is not None:
            raise RowError(f"the table {name} was detached: attach it again, or rename it; what comes for it is lost")
        unique = f"CREATE UNIQUE INDEX ON {name} ({', '.join(partitioned.unique)});" if partitioned.unique else ""
        db.exec_driver_sql(
            f"CREATE TABLE {name} (LIKE {SCHEMA}.{table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS); {unique} "
            f"ALTER TABLE {SCHEMA}.{table} ATTACH PARTITION {name} "
            f"FOR VALUES FROM ('{month.begin.isoformat()}') TO ('{month.plus(1).begin.isoformat()}')"
        )


def existing(db: Connection, table: str) -> Iterator[Month]:
    """Yield the months of a table that have a partition."""
    names = db.execute(
        text(
            "SELECT c.relname FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid "
            "WHERE inhparent = CAST(:table AS regclass)"
        ),
        {"table": f"{SCHEMA}.{table}"},
    ).scalars()
    for name in names:
        if month := Month.parse(name.removeprefix(f"{table}_")):
            yield month


def drop(db: Connection, table: str, month: Month) -> None:
    """Drop a month with its rows."""
    db.exec_driver_sql(f"DROP TABLE {SCHEMA}.{table}_{month.year:04}_{month.month:02}")
