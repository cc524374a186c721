"""Questions to a database that collect has made: for a program that reads, and writes little.

Owns: the transaction with its time limit, and that no other layout is read. Knows no table but the layout's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Connection, text

from edgeaudio.fleet_database.database import Database, DatabaseUrl, Use
from edgeaudio.fleet_database.migrations import require_layout

STATEMENT_LIMIT_S: Final = 5
_USE: Final = Use("edgeaudio dashboard", connect_timeout_s=3, statement_timeout_s=STATEMENT_LIMIT_S)
_CONNECTIONS: Final = 4


class Session:
    """One transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def rows(self, query: str, **values: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query, whose parameters are written as `:name`."""
        return [tuple(row) for row in self._connection.execute(text(query), values)]

    def run(self, statement: str, **values: object) -> None:
        """Run a statement that returns nothing."""
        self._connection.execute(text(statement), values)


class Queries:
    """The database, from any thread. Every method raises DatabaseError."""

    def __init__(self, url: DatabaseUrl) -> None:
        """Nothing is connected yet."""
        self.url = url
        self._database = Database(url, connections=_CONNECTIONS, use=_USE)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Yield a transaction, committed on return."""
        with self._database.transaction() as connection:
            require_layout(connection, self._database)
            yield Session(connection)

    def check(self) -> None:
        """See that the database can be read. Not `passing`: it never can as it is."""
        with self.session():
            pass

    def close(self) -> None:
        self._database.close()
