"""Values of the wire as rows of tables. Pure.

Owns: which row says what a message says, and which table takes a detection of that time.
Does not know: SQL, partitions, MQTT.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Table

from edgeaudio.collect.partitions import Month
from edgeaudio.fleet_database.tables import DETECTIONS, HEALTH, MISDATED, STATUS_CHANGES
from edgeaudio.wire.payloads import Detection, Health, SourceNumbers, Status

Row = dict[str, Any]
HEALTH_EVERY_S: Final = 300  # of the reports within it the newest is kept
OLDEST: Final = timedelta(days=3653)  # a recorder that was found again; before it, a clock without a battery
NEWEST: Final = timedelta(days=1)  # ahead of the database's clock


def row_of(value: Detection | Status | Health, now: datetime, keep_months: int | None) -> tuple[Table, Row] | None:
    """Return where a value goes, and its row; None: it is older than what is kept."""
    at = value.since if isinstance(value, Status) else value.at
    believed = now - OLDEST <= at <= now + NEWEST
    if believed and keep_months is not None and Month.of(at) < Month.of(now).plus(-keep_months):
        return None
    match value:
        case Detection():
            return (DETECTIONS if believed else MISDATED), _detection(value)
        case Status():
            return (STATUS_CHANGES, _status(value)) if believed else None
        case Health():
            return (HEALTH, _health(value)) if believed else None


def _detection(value: Detection) -> Row:
    row = {name: getattr(value, name) for name in _DETECTION} | {"members": dict(value.members) or None}
    return row | {name: 0.0 for name in _REALS if row[name] is not None and row[name] < _LEAST_REAL}


_REALS: Final = ("score", "at_error_s")  # not negative
_LEAST_REAL: Final = 1.2e-38  # less is an error of PostgreSQL, "underflow"


_DETECTION: Final = (
    *("at", "device", "source", "id", "kind", "label", "score", "at_error_s", "duration_s", "model", "seq"),
    *("seq_epoch", "test"),
)


def _status(value: Status) -> Row:
    return {
        "since": value.since,
        "device": value.device,
        "source": value.source,
        "state": value.state,
        "reason": value.reason or "",
        "detail": value.detail,
    }


def source_row(value: Status) -> Row:
    """Return a source's state now."""
    return _status(value) | {
        "codec": value.codec,
        "sample_rate": _integer(value.sample_rate),
        "channels": _integer(value.channels),
        "next_try": value.next_try,
    }


def shard_text(shard: int | None) -> str:
    """Return a shard as the tables have it: empty, where a device has none."""
    return "" if shard is None else str(shard)


def _integer(value: int | None) -> int | None:
    return None if value is None or value >= 1 << 31 else value  # no sample rate: the column's bound


_NUMBERS: Final = (
    *("device", "at", "version", "started_at", "restarts", "cpu_percent", "memory_mb", "temperature_c", "disk_free_mb"),
    *("outbox_messages", "outbox_bytes", "outbox_oldest_s", "outbox_dropped", "outbox_trouble"),
)


def _health(value: Health) -> Row:
    begins_s = math.floor(value.at.timestamp() / HEALTH_EVERY_S) * HEALTH_EVERY_S
    return {name: getattr(value, name) for name in _NUMBERS} | {
        "shard": shard_text(value.shard),
        "begins_at": datetime.fromtimestamp(begins_s, UTC),
        "sources": {name: _source(numbers) for name, numbers in value.sources.items()},
        "models": dict(value.models),
    }


def _source(numbers: SourceNumbers) -> Mapping[str, Any]:
    # not `asdict`, which copies each value
    raised = {
        each.label: {"from": each.chosen, "to": each.in_force, "since": each.since.isoformat()}
        for each in numbers.raised
    }
    own = {name: getattr(numbers, name) for name in _SOURCE}
    return own | {"since": numbers.since.isoformat(), "raised": raised}


_SOURCE: Final = tuple(each.name for each in fields(SourceNumbers))
