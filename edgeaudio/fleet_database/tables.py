"""The tables, as SQLAlchemy Core knows them: what is written and read. The statements that make them: migrations.py.

Two kinds. What happened is in tables of months, which take a row once, whatever order rows come in. What is now
(`devices`, `sources`) is in two small ones, which one process writes in the broker's order (collect/keeper.py).
Tables of what people say are not here: the dashboard writes them (edgeaudio/dashboard/postgres/); nor are those of
counts (collect/chart_counts.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Double, Integer, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import JSONB, REAL

SCHEMA: Final = "edgeaudio"
METADATA: Final = MetaData(schema=SCHEMA)
_TIME: Final = DateTime(timezone=True)


def _detections(name: str) -> Table:
    return Table(
        name,
        METADATA,
        Column("at", _TIME, nullable=False),
        Column("device", Text, nullable=False),
        Column("source", Text, nullable=False),
        Column("id", Text, nullable=False),
        Column("kind", Text, nullable=False),
        Column("label", Text, nullable=False),
        Column("score", REAL, nullable=False),
        Column("at_error_s", REAL),
        Column("duration_s", Double, nullable=False),
        Column("model", Text, nullable=False),
        Column("seq", BigInteger, nullable=False),
        Column("seq_epoch", Text, nullable=False),
        Column("test", Boolean, nullable=False),
        Column("received_at", _TIME, nullable=False, server_default="now()"),
        Column("members", JSONB(none_as_null=True)),  # of a fused model: scores, by the member's name
    )


DETECTIONS: Final = _detections("detections")
MISDATED: Final = _detections("misdated_detections")  # whose time nobody can believe

STATUS_CHANGES: Final = Table(
    "status_changes",
    METADATA,
    Column("since", _TIME, nullable=False),
    Column("device", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),  # empty: none
    Column("detail", Text, nullable=False),
    Column("received_at", _TIME, nullable=False, server_default="now()"),
)

AVAILABILITY_CHANGES: Final = Table(
    "availability_changes",
    METADATA,
    Column("at", _TIME, nullable=False),  # of the arrival: the message has no time
    Column("device", Text, nullable=False),
    Column("shard", Text, nullable=False),  # empty: the device has none
    Column("online", Boolean, nullable=False),
)

HEALTH: Final = Table(
    "health",
    METADATA,
    Column("begins_at", _TIME, nullable=False),  # of the five minutes whose newest report this is
    Column("device", Text, nullable=False),
    Column("shard", Text, nullable=False),
    Column("at", _TIME, nullable=False),
    Column("version", Text, nullable=False),
    Column("started_at", _TIME),
    Column("restarts", BigInteger),
    Column("cpu_percent", Double),
    Column("memory_mb", Double),
    Column("temperature_c", Double),
    Column("disk_free_mb", Double),
    Column("outbox_messages", BigInteger),
    Column("outbox_bytes", BigInteger),
    Column("outbox_oldest_s", Double),
    Column("outbox_dropped", BigInteger),
    Column("outbox_trouble", Text, nullable=False),
    Column("sources", JSONB, nullable=False),  # by name: state, reason, detail, since, heard_s, lost_s, lag_s ...
    Column("models", JSONB, nullable=False),  # by name: SHA-256
)

DEVICES: Final = Table(
    "devices",
    METADATA,
    Column("device", Text, nullable=False),
    Column("shard", Text, nullable=False),
    Column("online", Boolean, nullable=False),
    Column("changed_at", _TIME, nullable=False),
)

SOURCES: Final = Table(
    "sources",
    METADATA,
    Column("device", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("since", _TIME, nullable=False),
    Column("codec", Text, nullable=False),
    Column("sample_rate", Integer),  # Hz
    Column("channels", Integer),
    Column("next_try", _TIME),
)


@dataclass(frozen=True, slots=True)
class Partitioned:
    """A table of months."""

    table: Table
    month_of: str  # the column
    unique: tuple[str, ...] = ()  # within a month, where the key of the whole table would have to hold `month_of`


PARTITIONED: Final = {
    partitioned.table.name: partitioned
    for partitioned in (
        Partitioned(DETECTIONS, "at", unique=("id", "kind", "device", "source")),
        Partitioned(STATUS_CHANGES, "since"),
        Partitioned(AVAILABILITY_CHANGES, "at"),
        Partitioned(HEALTH, "begins_at"),
    )
}
