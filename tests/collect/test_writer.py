"""Batches in the database: each row once, in its month, whatever comes and however often."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from dashboard.values import ONSET, offset, onset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.examples import examples
from support.postgres import Postgres

from edgeaudio.collect import partitions
from edgeaudio.collect.counts import EXPIRED, MISDATED, REPEATED, STORED, UNSTORABLE, Counts
from edgeaudio.collect.keeper import Keeper
from edgeaudio.collect.partitions import Month
from edgeaudio.collect.writer import Shared, Writer
from edgeaudio.fleet_database.database import Database, DatabaseError, parse_database_url
from edgeaudio.fleet_database.tables import PARTITIONED
from edgeaudio.wire.payloads import (
    Availability,
    Detection,
    Health,
    RaisedThreshold,
    Removed,
    SourceNumbers,
    Status,
)

Sql = Callable[..., list[Any]]
NOW = datetime.now(UTC).replace(microsecond=0)
STATUS = Status("dock", "porch", "waiting", "timeout", "no answer", NOW, "aac", 48_000, 2, None)
HEALTH = Health("dock", NOW, "1", None, None, None, None, None, None, None, None, None, None, "")
KEY = "SELECT id, kind FROM edgeaudio.detections ORDER BY 1, 2"


def writer_of(database: Database, keep_months: int | None = None) -> tuple[Writer, Counts]:
    counts = Counts()
    writer = Writer(database, counts, keep_months=keep_months)
    writer.prepare()
    return writer, counts


def write(writer: Writer, *values: Shared) -> None:
    writer.write(values)


def recent(event_id: str = "e1", **changes: Any) -> Detection:
    values: dict[str, Any] = {"id": event_id, "at": NOW} | changes
    return replace(ONSET, **values)


def test_a_row_that_comes_again_changes_nothing(database: Database, sql: Sql) -> None:
    writer, counts = writer_of(database)
    for _ in range(2):
        write(writer, onset(), onset(), offset(), STATUS, HEALTH)
    assert sql(KEY) == [("e1", "offset"), ("e1", "onset")]
    # an id belongs to a source: nobody else's detection stands in its way
    write(writer, onset(source="garden"), onset(device="hall"))
    assert len(sql(KEY)) == 4
    # of another time it is the same detection too
    write(writer, onset(after_s=1))
    assert len(sql(KEY)) == 4
    assert (counts.all()[STORED], counts.all()[REPEATED]) == (6, 7)


def test_scores_of_a_fused_model_s_members_are_kept(database: Database, sql: Sql) -> None:
    writer, _ = writer_of(database)
    members = (("home", 0.91), ('"yamnet" \\', 0.44))
    write(writer, recent(members=members), recent("e2"), recent("e3", at=NOW - timedelta(days=9999), members=members))
    query = "SELECT members, members IS NULL FROM edgeaudio.{} ORDER BY id"
    assert sql(query.format("detections")) == [(dict(members), False), (None, True)]
    assert sql(query.format("misdated_detections")) == [(dict(members), False)]


def test_of_health_the_newest_of_five_minutes_is_kept(database: Database, sql: Sql) -> None:
    writer, _ = writer_of(database)
    at = NOW.replace(minute=0, second=0)
    for seconds in (10, 200, 100, 310):
        write(writer, replace(HEALTH, at=at + timedelta(seconds=seconds), version=str(seconds)))
    write(writer, replace(HEALTH, at=at, version="0"), replace(HEALTH, at=at + timedelta(seconds=299), version="299"))
    assert sql("SELECT version FROM edgeaudio.health ORDER BY begins_at") == [("299",), ("310",)]


def test_of_health_what_has_risen_is_kept(database: Database, sql: Sql) -> None:
    writer, _ = writer_of(database)
    porch = SourceNumbers(
        "listening", None, "", NOW, 1.0, 0.0, 0.1, raised=(RaisedThreshold("dog", 0.5, 0.75, NOW),), raised_count=1
    )
    write(writer, replace(HEALTH, sources={"porch": porch}))
    ((kept,),) = sql("SELECT sources -> 'porch' -> 'raised' FROM edgeaudio.health")
    assert kept == {"dog": {"from": 0.5, "to": 0.75, "since": NOW.isoformat()}}


def test_late_detections_get_the_partition_of_their_month(database: Database, sql: Sql) -> None:
    writer, _ = writer_of(database)
    month = Month.of(datetime.now(UTC))
    late = [recent(f"e{back}", at=month.plus(-back).begin) for back in range(14)]
    write(writer, *late, recent("edge", at=month.begin - timedelta(milliseconds=1)))
    assert len(sql(KEY)) == 15
    partitions = sql(
        "SELECT relname, count(*) FROM edgeaudio.detections JOIN pg_class c ON c.oid = detections.tableoid "
        "GROUP BY 1 ORDER BY 1 DESC"
    )
    names = [f"detections_{month.plus(-back).year}_{month.plus(-back).month:02}" for back in range(14)]
    assert partitions == [(name, 2 if back == 1 else 1) for back, name in enumerate(names)]
    sql(f"DROP TABLE edgeaudio.{names[3]}")  # somebody's hand
    write(writer, late[3])
    assert len(sql(KEY)) == 15


def test_times_that_cannot_be_are_kept_apart_and_told(
    database: Database, sql: Sql, caplog: pytest.LogCaptureFixture
) -> None:
    writer, counts = writer_of(database)
    past, future = datetime(1970, 1, 1, tzinfo=UTC), NOW + timedelta(days=2)
    for _ in range(2):
        write(writer, recent("a", at=past), recent("b", at=future), replace(STATUS, since=past), recent("c"))
    assert sql(KEY) == [("c", "onset")]
    assert sql("SELECT id FROM edgeaudio.misdated_detections ORDER BY 1") == [("a",), ("b",)]
    assert counts.all()[MISDATED] == 4
    assert caplog.text.count("have a time that cannot be: see misdated_detections") == 1


def test_what_is_older_than_what_is_kept_is_counted_and_left_out(database: Database, sql: Sql) -> None:
    writer, counts = writer_of(database, keep_months=2)
    begin = Month.of(datetime.now(UTC)).plus(-2).begin
    write(writer, recent("a", at=begin), recent("b", at=begin - timedelta(milliseconds=1)))
    assert (sql(KEY), counts.all()[EXPIRED]) == ([("a", "onset")], 1)


def test_a_row_that_postgresql_refuses_harms_no_other(
    database: Database, sql: Sql, caplog: pytest.LogCaptureFixture
) -> None:
    writer, counts = writer_of(database)
    sql("ALTER TABLE edgeaudio.detections ADD CHECK (label <> 'bad')")
    write(writer, *(recent(f"e{number}", label="bad" if number in {3, 8} else "dog") for number in range(20)))
    assert len(sql(KEY)) == 18
    assert counts.all()[UNSTORABLE] == 2
    assert caplog.text.count("the message is left out") == 1


def test_what_a_refusal_is_called_is_not_what_it_is(database: Database, sql: Sql) -> None:
    """A missing month is a check violation of PostgreSQL too, which it tells in the server's language."""
    writer, counts = writer_of(database)
    sql("ALTER TABLE edgeaudio.detections ADD CONSTRAINT \"no partition\" CHECK (label <> 'bad')")
    write(writer, recent("a"), recent("b", label="bad"), recent("c", at=NOW - timedelta(days=200)))
    assert sql(KEY) == [("a", "onset"), ("c", "onset")]
    assert counts.all()[UNSTORABLE] == 1


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_text_that_the_database_cannot_hold_harms_no_other(postgres: Postgres, encoding: str) -> None:
    name = f"of_{encoding.lower()}"
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0")
    with closing(Database(parse_database_url(postgres.url(name)), connections=1)) as database:
        writer, counts = writer_of(database)
        write(writer, recent("a", label="犬"), recent("b", label="chien"))
    lost = 1 if encoding == "LATIN1" else 0
    assert (counts.all()[STORED], counts.all()[UNSTORABLE]) == (2 - lost, lost)


def test_what_the_driver_cannot_send_harms_no_other(database: Database, sql: Sql) -> None:
    writer, counts = writer_of(database)
    write(writer, recent("a", label="\x00"), recent("b", label="\ud800"), recent("c"), recent("d", score=1e-300))
    assert sql(KEY) == [("c", "onset"), ("d", "onset")]
    assert counts.all()[UNSTORABLE] == 2


def test_a_month_that_was_detached_holds_up_no_other(
    database: Database, sql: Sql, caplog: pytest.LogCaptureFixture
) -> None:
    writer, counts = writer_of(database)
    old = Month.of(datetime.now(UTC)).plus(-3)
    write(writer, recent("a", at=old.begin))
    sql(f"ALTER TABLE edgeaudio.detections DETACH PARTITION edgeaudio.detections_{old.year}_{old.month:02}")
    write(writer, recent("b", at=old.begin), recent("c"))
    assert sql(KEY) == [("c", "onset")]
    assert counts.all()[UNSTORABLE] == 1
    assert "was detached: attach it again, or rename it" in caplog.text


def test_nothing_of_a_batch_is_stored_if_the_database_fails_and_all_of_it_later(database: Database, sql: Sql) -> None:
    writer, _ = writer_of(database)
    sql("DROP TABLE edgeaudio.health")
    with pytest.raises(DatabaseError):
        write(writer, recent(), HEALTH)
    assert sql(KEY) == []
    sql("DROP SCHEMA edgeaudio CASCADE")  # a new server, or a backup of long ago
    write(writer, recent(), HEALTH)
    assert sql(KEY) == [("e1", "onset")]


@settings(max_examples=examples(15), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_batches_in_any_order_and_number_are_the_same_rows(database: Database, sql: Sql, data: st.DataObject) -> None:
    writer, _ = writer_of(database)
    sql("TRUNCATE edgeaudio.detections")
    numbers = st.lists(st.integers(0, 30), max_size=40)
    batches = data.draw(st.lists(numbers, max_size=6))
    for batch in batches:
        write(writer, *(recent(f"e{number:02}", at=NOW - timedelta(days=7 * number)) for number in batch))
    assert sql(KEY) == [(f"e{number:02}", "onset") for number in sorted({n for batch in batches for n in batch})]


def test_what_is_now_follows_the_brokers_order(database: Database, sql: Sql) -> None:
    writer, _ = writer_of(database)
    keeper = Keeper(database, writer, keep_months=None)
    online, offline = Availability("dock", online=True), Availability("dock", online=False)
    keeper.write([online, online, offline, replace(online, shard=3), STATUS])
    keeper.write([replace(STATUS, state="listening", since=NOW - timedelta(days=1), sample_rate=1 << 40)])
    assert sql("SELECT shard, online FROM edgeaudio.devices ORDER BY 1") == [("", False), ("3", True)]
    assert sql("SELECT state, sample_rate FROM edgeaudio.sources") == [("listening", None)]
    assert len(sql("SELECT 1 FROM edgeaudio.availability_changes")) == 3
    keeper.write([Removed("dock", None), Removed("dock", "porch")])
    assert sql("SELECT shard FROM edgeaudio.devices") == [("3",)]
    assert sql("SELECT 1 FROM edgeaudio.sources") == []


def test_what_was_cleared_while_nobody_received_it_is_forgotten(database: Database, sql: Sql) -> None:
    writer, _ = writer_of(database)
    keeper = Keeper(database, writer, keep_months=None)
    keeper.write([Availability(name, online=True) for name in ("a", "b")])
    keeper.write([replace(STATUS, source=name) for name in ("a", "b")])
    keeper.begin()
    keeper.write([Availability("b", online=True), replace(STATUS, source="a")])
    keeper.forget_others()
    assert sql("SELECT device FROM edgeaudio.devices") == [("b",)]
    assert sql("SELECT source FROM edgeaudio.sources") == [("a",)]


def test_partitions_are_made_ahead_and_dropped_when_they_are_old(
    database: Database, sql: Sql, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    writer, _ = writer_of(database)
    month = Month.of(datetime.now(UTC))
    write(writer, *(recent(f"e{back}", at=month.plus(-back).begin) for back in range(5)))
    write(writer, recent("x", at=datetime(1970, 1, 1, tzinfo=UTC)))
    sql("UPDATE edgeaudio.misdated_detections SET received_at = now() - interval '70 days'")
    monkeypatch.setattr("edgeaudio.collect.keeper.time.time", lambda: NOW.timestamp() + 86_400 * 3650)
    Keeper(database, writer, keep_months=2).count()
    days = "SELECT DISTINCT day FROM edgeaudio.counts ORDER BY day"
    assert len(sql(days)) == 5
    Keeper(database, writer, keep_months=2).keep()
    assert "nothing old is dropped" in caplog.text
    assert len(sql(KEY)) == 5
    monkeypatch.undo()
    caplog.set_level(logging.INFO)
    Keeper(database, writer, keep_months=2).keep()
    assert sql(KEY) == [("e0", "onset"), ("e1", "onset"), ("e2", "onset")]
    assert sql("SELECT 1 FROM edgeaudio.misdated_detections") == []
    assert [86_400 * day for (day,) in sql(days)] == [month.plus(-back).begin.timestamp() for back in (2, 1, 0)]
    assert f"detections of {month.plus(-3)} is older than 2 months: dropped" in caplog.text
    for name in PARTITIONED:
        with database.transaction() as db:
            assert month.plus(1) in partitions.existing(db, name)


def test_what_cannot_be_counted_is_told_once_and_tried_again(
    database: Database, sql: Sql, caplog: pytest.LogCaptureFixture
) -> None:
    writer, _ = writer_of(database)
    write(writer, recent(), recent("test", test=True))
    assert len(sql("SELECT 1 FROM edgeaudio.uncounted")) == 1
    sql("ALTER TABLE edgeaudio.counts RENAME TO away")
    for _ in range(2):
        keeper = Keeper(database, writer, keep_months=None)
        keeper.count()
        keeper.count()  # it is not due yet
    assert caplog.text.count("charts are behind") == 2
    assert len(sql("SELECT 1 FROM edgeaudio.uncounted")) == 1
    sql("ALTER TABLE edgeaudio.away RENAME TO counts")
    Keeper(database, writer, keep_months=None).count()
    assert sql("SELECT 1 FROM edgeaudio.uncounted") == []
    assert len(sql("SELECT 1 FROM edgeaudio.counts")) == 4  # of each scope one


@pytest.mark.parametrize("text", ["2026-13", "2026-1", "x", ""])
def test_what_is_no_month(text: str) -> None:
    assert Month.parse(text) is None
