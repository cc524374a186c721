"""Months that are over, as Parquet: what the database has of them, for archives and for years.

Owns: the columns, which months are closed, and when a file is written anew. The only importer of pyarrow here.
Does not know: which months the database drops (keeper.py).

A row is an event, its onset and offset joined. The columns are those of archive/rows.py, so that one query of DuckDB
reads both, and further ones. A month is closed `CLOSED_AFTER` its end: outboxes that were long without a broker have
been emptied. A file knows from how many detections it was made, and when the newest of them came: a month that has got
more since is written anew, under a temporary name; one that has less (its partition was dropped) leaves the file as it
is.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import Connection, text

from edgeaudio.collect import partitions
from edgeaudio.collect.partitions import Month
from edgeaudio.console import counted
from edgeaudio.errors import EdgeaudioError
from edgeaudio.fleet_database.database import Database
from edgeaudio.fleet_database.migrations import migrate
from edgeaudio.fleet_database.tables import SCHEMA as TABLES

log = logging.getLogger(__name__)

CLOSED_AFTER: Final = timedelta(days=7)
LONGEST: Final = timedelta(days=7)  # of an event whose offset is in a later month
_ROWS: Final = 20_000  # of a group, and in memory
_ABANDONED_S: Final = 86_400.0
_ROWS_KEY: Final = b"edgeaudio.detections"
_TIME: Final = pa.timestamp("us", tz="UTC")

SCHEMA: Final = pa.schema(
    [
        # as archive/rows.py has them
        pa.field("kind", pa.string(), nullable=False),  # "event"
        pa.field("key", pa.string(), nullable=False),  # the event's id
        pa.field("recording", pa.string(), nullable=False),  # "device/source"
        pa.field("begins_at", _TIME, nullable=False),
        pa.field("ends_at", _TIME, nullable=False),  # of an event without an offset its begin and the onset's duration
        pa.field("offset_s", pa.float64()),  # null: there is no recording that it would be in
        pa.field("duration_s", pa.float64(), nullable=False),
        pa.field("label", pa.string()),
        pa.field("score", pa.float32()),
        pa.field("model", pa.string(), nullable=False),
        # of fleets
        pa.field("device", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("begin_error_s", pa.float32()),
        pa.field("end_error_s", pa.float32()),
        pa.field("onset_lost", pa.bool_(), nullable=False),
        pa.field("offset_lost", pa.bool_(), nullable=False),
        pa.field("test", pa.bool_(), nullable=False),
    ]
)
_NAMES: Final = ", ".join(field.name for field in SCHEMA)
# an offset before its onset is of a clock that was set: it ends nothing, as in the view `events`
_EVENTS: Final = f"""
WITH joined AS (
    SELECT device, source, id, max(label) AS label, max(model) AS model, max(score) AS score, bool_or(test) AS test,
        min(at) FILTER (WHERE kind = 'onset') AS onset_at, max(at) FILTER (WHERE kind = 'offset') AS offset_at,
        min(at_error_s) FILTER (WHERE kind = 'onset') AS begin_error_s,
        min(at_error_s) FILTER (WHERE kind = 'offset') AS end_error_s, max(duration_s) AS duration_s
    FROM {TABLES}.detections WHERE at >= :early AND at < :late GROUP BY device, source, id
), events AS (
    SELECT 'event' AS kind, id AS key, device || '/' || source AS recording,
        coalesce(onset_at, ending_at - make_interval(secs => duration_s)) AS begins_at,
        coalesce(ending_at, onset_at + make_interval(secs => duration_s)) AS ends_at, NULL AS offset_s, duration_s,
        label, score, model, device, source, begin_error_s, end_error_s, onset_at IS NULL AS onset_lost,
        ending_at IS NULL AS offset_lost, test
    FROM (SELECT *, CASE WHEN onset_at > offset_at THEN NULL ELSE offset_at END AS ending_at FROM joined) AS paired
)
SELECT {_NAMES} FROM events WHERE begins_at >= :begin AND begins_at < :end ORDER BY begins_at, key
"""  # noqa: S608 - constants


@dataclass(frozen=True, slots=True)
class RolledUp:
    """What became of the closed months."""

    written: tuple[str, ...]
    unchanged: int


def roll_up(database: Database, folder: Path, now: Callable[[Connection], datetime] | None = None) -> RolledUp:
    """Write all closed months that are not there, or have more since. Raises EdgeaudioError."""
    migrate(database)
    with database.transaction() as db:
        at = now(db) if now else db.execute(text("SELECT now()")).scalar_one()
        months = [
            month for month in sorted(partitions.existing(db, "detections")) if month.plus(1).begin + CLOSED_AFTER <= at
        ]
    written = []
    for month in months:
        path = folder / f"{month.year:04}" / f"events-{month}.parquet"
        with database.transaction() as db:
            # the file and its count are of one moment
            db.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
            db.execute(text("SET LOCAL statement_timeout = 0"))
            db.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))  # a slow disk is no idleness
            detections = _state(db, month)
            if detections != b"0 " and _has_more(detections, _written(path)):
                written.append(f"{month}: {counted(_write(db, month, path, detections), 'event')}")
    return RolledUp(tuple(written), len(months) - len(written))


def _state(db: Connection, month: Month) -> bytes:
    """Return how many detections the month has, and when the newest of them came."""
    row = db.execute(
        text(f"SELECT count(*), max(received_at) FROM {TABLES}.detections WHERE at >= :begin AND at < :late"),  # noqa: S608 - a constant
        {"begin": month.begin, "late": month.plus(1).begin + LONGEST},
    ).one()
    return f"{row[0]} {row[1].isoformat() if row[1] else ''}".encode()


def _has_more(now: bytes, written: bytes) -> bool:
    return written != now and int(now.split()[0]) >= int((written or b"0").split()[0])


def _written(path: Path) -> bytes:
    """Return what a file was made from; empty: there is none, or none that can be read."""
    try:
        with closing(pq.ParquetFile(path)) as file:
            found: bytes = (file.schema_arrow.metadata or {}).get(_ROWS_KEY, b"")
            return found
    except FileNotFoundError:
        return b""
    except (OSError, pa.ArrowException) as error:
        log.warning("%s cannot be read and is written anew: %s", path, str(error).split("\n")[0])
        return b""


def _write(db: Connection, month: Month, path: Path, detections: bytes) -> int:
    temporary = path.with_name(f".{path.name}.{uuid4().hex}")  # in two containers a process may have the same id
    count = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        with pq.ParquetWriter(temporary, SCHEMA.with_metadata({_ROWS_KEY: detections}), compression="zstd") as writer:
            for table in _tables(db, month):
                writer.write_table(table)
                count += table.num_rows
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise EdgeaudioError(
            f"{path}: {error.strerror or error}; free some of the disk, or name another --to"
        ) from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return count


def _sweep(path: Path) -> None:
    """Remove what a roll-up that was killed has left, and not what another one is writing."""
    for left in path.parent.glob(f".{path.name}.*"):
        if time.time() - left.stat().st_mtime > _ABANDONED_S:
            left.unlink(missing_ok=True)


def _tables(db: Connection, month: Month) -> Iterator[Any]:
    begin, end = month.begin, month.plus(1).begin
    bounds = {"begin": begin, "end": end, "early": begin - LONGEST, "late": end + LONGEST}
    result = db.execution_options(stream_results=True, yield_per=_ROWS).execute(text(_EVENTS), bounds)
    for rows in result.mappings().partitions(_ROWS):
        yield pa.Table.from_pylist([dict(row) for row in rows], schema=SCHEMA)
