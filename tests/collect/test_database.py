"""URLs, and the layout of the database."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import Dialect, MetaData, Table, inspect, text
from support.ports import free_port

from edgeaudio.errors import EdgeaudioError
from edgeaudio.fleet_database.database import Database, DatabaseError, SessionLock, parse_database_url
from edgeaudio.fleet_database.migrations import LAYOUT, migrate
from edgeaudio.fleet_database.tables import METADATA, SCHEMA


@pytest.mark.parametrize(
    ("url", "shown", "has_password"),
    [
        ("postgresql://u:s3cret@db.local:5433/fleet?sslmode=require", "postgresql://db.local:5433/fleet", True),
        ("postgres://u@db/fleet", "postgresql://db/fleet", False),
        ("postgresql://", "postgresql:///", False),  # all of it is libpq's affair
        ("postgresql://a:1,b:2/fleet", "postgresql://a,b:1,2/fleet", False),
        ("postgresql:///fleet?host=/run/postgresql&password=s3cret", "postgresql:///run/postgresql/fleet", True),
        ("postgresql://db/fleet?sslkey=k.pem&sslpassword=s3cret", "postgresql://db/fleet", True),
    ],
)
def test_a_url_is_shown_without_its_login(url: str, shown: str, has_password: bool) -> None:
    parsed = parse_database_url(url)
    assert (str(parsed), parsed.has_password) == (shown, has_password)
    assert "s3cret" not in repr(parsed)


@pytest.mark.parametrize(
    "url",
    [
        "host=db password=s3cret",
        "mysql://u:s3cret@db/x",
        "postgresql://u:s3@cret@db/x",
        "postgresql://u:s3cret/x@db/x",
        "postgresql://u:12/s3cret@db/x",
        "postgresql://u:s3cret%zz@db/x",
        "postgresql://u:s3cret@db:port/x",
    ],
)
def test_a_url_that_can_be_misread_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(EdgeaudioError, match="write it as in postgresql://host:5432/database") as caught:
        parse_database_url(url)
    assert "cret" not in str(caught.value)
    assert "s3" not in str(caught.value)


def test_an_absent_server_is_one_line_without_the_password() -> None:
    url = parse_database_url(f"postgresql://u:s3cret@127.0.0.1:{free_port()}/x")
    with closing(Database(url, connections=1)) as database, pytest.raises(DatabaseError) as caught:
        migrate(database)
    assert caught.value.passing
    assert str(caught.value).endswith("Connection refused; check that it runs, and its address")
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_migrations_make_the_tables_that_are_written(database: Database) -> None:
    migrate(database)
    migrate(database)
    with database.transaction() as db:
        found = MetaData(schema=SCHEMA)
        found.reflect(db, resolve_fks=False)
        for name, table in METADATA.tables.items():
            assert _columns(table, db.dialect) == _columns(found.tables[name], db.dialect), name
        assert inspect(db).get_view_names(schema=SCHEMA) == ["events"]


def test_times_are_read_whatever_the_database_writes_by_itself(
    database: Database, sql: Callable[..., list[Any]]
) -> None:
    [(name,)] = sql("SELECT current_database()")
    sql(f"ALTER DATABASE {name} SET datestyle TO 'German'")
    with database.transaction() as db:
        assert db.execute(text("SELECT timestamptz '2026-12-01 00:30:00+01'")).scalar_one().isoformat() == (
            "2026-11-30T23:30:00+00:00"
        )


def _columns(table: Table, dialect: Dialect) -> dict[str, tuple[str, bool | None]]:
    return {column.name: (column.type.compile(dialect), column.nullable) for column in table.columns}


def test_of_processes_that_start_at_once_one_migrates(url: str, sql: Callable[..., list[Any]]) -> None:
    def start(_: int) -> None:
        with closing(Database(parse_database_url(url), connections=1)) as database:
            migrate(database)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(start, range(6)))
    assert sql("SELECT number FROM edgeaudio.migrations") == [(number,) for number in range(1, LAYOUT + 1)]


def test_a_database_of_a_newer_version_is_refused(database: Database, sql: Callable[..., list[Any]]) -> None:
    migrate(database)
    sql("INSERT INTO edgeaudio.migrations (number) VALUES (%s)", LAYOUT + 1)
    with pytest.raises(
        DatabaseError, match=f"of a newer edgeaudio .layout {LAYOUT + 1}, this one knows {LAYOUT}.: upgrade"
    ):
        migrate(database)


@pytest.mark.parametrize("tables", ["migrations (version text)", "detections (id integer)"])
def test_tables_of_another_program_are_left_alone(
    database: Database, sql: Callable[..., list[Any]], tables: str
) -> None:
    sql(f"CREATE SCHEMA edgeaudio; CREATE TABLE edgeaudio.{tables}")
    with pytest.raises(DatabaseError, match="the schema edgeaudio has tables of another program: name another") as told:
        migrate(database)
    assert not told.value.passing
    assert len(sql("SELECT 1 FROM pg_tables WHERE schemaname = 'edgeaudio'")) == 1


def test_one_process_has_the_lock_until_its_connection_ends(database: Database, sql: Callable[..., list[Any]]) -> None:
    first, second = SessionLock(database, 7), SessionLock(database, 7)
    assert first.is_held()
    assert first.is_held()
    assert not second.is_held()
    sql("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
    with pytest.raises(DatabaseError):
        first.is_held()
    assert second.is_held()
    assert not first.is_held()
    second.release()
    assert first.is_held()
    first.release()
