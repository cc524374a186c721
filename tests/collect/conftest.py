"""Fixtures of collect: a database of its own for each test, and the whole in a process."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support.brokers import BrokerProcess, any_broker, mosquitto
from support.collectors import RunningCollector
from support.postgres import Postgres, postgres

from edgeaudio.fleet_database.database import Database, parse_database_url

__all__ = ["any_broker", "mosquitto", "postgres"]
_NUMBERS = itertools.count(1)


@pytest.fixture
def url(postgres: Postgres) -> str:
    """Return the URL of an empty database."""
    return postgres.new_database(f"test_{next(_NUMBERS)}")


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    with closing(Database(parse_database_url(url), connections=4)) as database:
        yield database


@pytest.fixture
def sql(url: str) -> Iterator[Callable[..., list[Any]]]:
    """Yield a function that returns the rows of a query."""
    with psycopg.connect(url, autocommit=True) as connection:

        def rows(query: str, *values: Any) -> list[Any]:
            cursor = connection.execute(query, values or None)
            return cursor.fetchall() if cursor.description else []

        yield rows


@pytest.fixture
def run_collector(tmp_path: Path) -> Iterator[Callable[..., RunningCollector]]:
    """Make a collector, and stop it after the test; its log must have no traceback."""
    collectors: list[RunningCollector] = []

    def make(
        broker: BrokerProcess, url: str, *options: str, device: str = "hall", config: str = ""
    ) -> RunningCollector:
        collectors.append(RunningCollector(tmp_path, broker.port, url, *options, device=device, config=config))
        return collectors[-1]

    yield make
    for collector in collectors:
        try:
            if collector.runs:
                assert collector.stop() == 0, collector.log
        finally:
            collector.kill()
        assert "Traceback" not in collector.log, collector.log
