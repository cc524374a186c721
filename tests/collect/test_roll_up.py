"""Closed months as Parquet."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from collect.test_writer import recent, write, writer_of
from dashboard.values import ONSET

pytest.importorskip("pyarrow", reason="pyarrow is not installed: the extra `archive` brings it")
import duckdb
import pyarrow.parquet as pq

from edgeaudio.archive import rows
from edgeaudio.collect.partitions import Month
from edgeaudio.collect.roll_up import CLOSED_AFTER, SCHEMA, roll_up
from edgeaudio.errors import EdgeaudioError
from edgeaudio.fleet_database.database import Database

OCTOBER = Month(2026, 10)
BEGIN = OCTOBER.begin
CLOSED = OCTOBER.plus(1).begin + CLOSED_AFTER


def at(moment: datetime) -> Callable[[Any], datetime]:
    return lambda _: moment


def test_the_columns_of_an_archive_are_there_with_their_types() -> None:
    for field in rows.SCHEMA:
        assert SCHEMA.field(field.name).type == field.type, field.name


def test_a_month_is_written_when_it_is_closed_and_again_when_it_has_more(
    database: Database, sql: Any, tmp_path: Path
) -> None:
    writer, _ = writer_of(database)
    begin, end = BEGIN + timedelta(hours=1), OCTOBER.plus(1).begin
    write(
        writer,
        recent("whole", at=begin),
        recent("whole", kind="offset", at=begin + timedelta(seconds=3), duration_s=3.0, score=0.95),
        recent("over", at=end - timedelta(seconds=1)),
        recent("over", kind="offset", at=end + timedelta(seconds=1), duration_s=2.0),
        recent("no-offset", at=begin),
        recent("no-onset", kind="offset", at=begin + timedelta(seconds=9), duration_s=4.0),
        recent("before", at=BEGIN - timedelta(seconds=1)),
        recent("before", kind="offset", at=BEGIN + timedelta(seconds=1), duration_s=2.0),
    )
    assert roll_up(database, tmp_path, at(CLOSED - timedelta(seconds=1))).written == ("2026-09: 1 event",)
    assert roll_up(database, tmp_path, at(CLOSED)).written == ("2026-10: 4 events",)
    path = tmp_path / "2026" / "events-2026-10.parquet"
    table = pq.read_table(path)
    assert table.schema.equals(SCHEMA)
    events = {row["key"]: row for row in table.to_pylist()}
    assert events["whole"]["ends_at"] == begin + timedelta(seconds=3)
    assert (round(events["whole"]["score"], 2), events["whole"]["recording"]) == (0.95, "dock/porch")
    assert events["over"]["ends_at"] > end
    assert events["no-offset"]["offset_lost"]
    assert events["no-onset"]["begins_at"] == begin + timedelta(seconds=5)
    again = roll_up(database, tmp_path, at(CLOSED))
    assert (again.written, again.unchanged) == ((), 2)
    write(writer, recent("late", at=begin + timedelta(days=20)))
    assert roll_up(database, tmp_path, at(CLOSED)).written == ("2026-10: 5 events",)
    # a month that the database has less of leaves the file as it is
    sql("DELETE FROM edgeaudio.detections WHERE id <> 'late'")
    assert roll_up(database, tmp_path, at(CLOSED)).written == ()
    assert pq.read_metadata(path).num_rows == 5
    counted = duckdb.read_parquet(f"{tmp_path}/*/*.parquet").filter("kind = 'event'").aggregate("label, count(*)")
    assert counted.fetchall() == [("dog", 6)]
    assert sorted(found.name for found in tmp_path.rglob("*") if found.is_file()) == [
        f"events-2026-{month}.parquet" for month in ("09", "10")
    ]


def test_an_offset_before_its_onset_ends_nothing(database: Database, tmp_path: Path) -> None:
    writer, _ = writer_of(database)
    write(
        writer,
        recent("set-back", at=BEGIN + timedelta(seconds=60), duration_s=1.0),
        recent("set-back", kind="offset", at=BEGIN + timedelta(seconds=5), duration_s=2.0),
    )
    roll_up(database, tmp_path, at(CLOSED))
    (event,) = pq.read_table(tmp_path / "2026" / "events-2026-10.parquet").to_pylist()
    assert event["begins_at"] == BEGIN + timedelta(seconds=60)
    assert event["ends_at"] == event["begins_at"] + timedelta(seconds=2)
    assert event["offset_lost"]
    assert not event["onset_lost"]


def test_a_damaged_file_is_written_anew(database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    writer, _ = writer_of(database)
    write(writer, recent(at=BEGIN))
    roll_up(database, tmp_path, at(CLOSED))
    path = tmp_path / "2026" / "events-2026-10.parquet"
    path.write_bytes(path.read_bytes()[:100])
    killed, other = (path.with_name(f".{path.name}.{name}") for name in ("killed", "other"))
    killed.touch()
    os.utime(killed, (0, 0))
    other.touch()
    assert roll_up(database, tmp_path, at(CLOSED)).written == ("2026-10: 1 event",)
    assert "cannot be read and is written anew" in caplog.text
    # what a killed one left is gone, and not what another one is writing
    assert sorted(path.parent.iterdir()) == [other, path]


def test_a_folder_that_cannot_be_made_is_one_line(database: Database, tmp_path: Path) -> None:
    writer, _ = writer_of(database)
    write(writer, recent(at=BEGIN))
    (tmp_path / "file").touch()
    with pytest.raises(EdgeaudioError, match="Not a directory; free some of the disk, or name another --to"):
        roll_up(database, tmp_path / "file", at(CLOSED))


def test_many_events_are_written_in_groups(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeaudio.collect.roll_up._ROWS", 100)
    writer, _ = writer_of(database)
    write(writer, *(replace(ONSET, id=f"e{number}", at=BEGIN + timedelta(seconds=number)) for number in range(250)))
    assert roll_up(database, tmp_path, at(CLOSED)).written == ("2026-10: 250 events",)
    assert pq.read_metadata(tmp_path / "2026" / "events-2026-10.parquet").num_row_groups == 3
