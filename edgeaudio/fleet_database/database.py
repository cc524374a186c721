"""PostgreSQL: how it is reached, and what its errors mean.

Owns: the URL and what of it may be shown, the connections with their limits, the classes of errors.
Does not know: tables (tables.py, migrations.py), what is written.

A commit is on the disk when it returns, whatever the server's default for `synchronous_commit` is: what has been
committed is acknowledged to the broker. libpq reads the rest from its own environment (PGPASSFILE, PGSERVICE,
PGSSLROOTCERT ...).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import Connection, create_engine, exc

from edgeaudio.errors import EdgeaudioError
from edgeaudio.redact import mask
from edgeaudio.terminal import one_line

_SCHEMES: Final = ("postgresql://", "postgres://")
_ADVICE: Final = "write it as in postgresql://host:5432/database, with %40 for @ and %2F for / in a password"
_CONNECTION: Final[dict[str, Any]] = {  # where the URL does not say otherwise; the network may go away without a word
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,  # ms
    "client_encoding": "utf8",  # the server's own may lack letters, or be none (SQL_ASCII), and text be bytes
}
# of each transaction, and not of the session: behind a pooler the next transaction may be in another one. To compile a
# query for each of its months costs more seconds than it saves. The driver reads times of DateStyle ISO only, and a
# database or a user may have another
_SETTINGS: Final = """SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO'; SET LOCAL jit = off;
    SET LOCAL statement_timeout = '{limit_s}s'; SET LOCAL lock_timeout = '{lock_s}s';
    SET LOCAL idle_in_transaction_session_timeout = '60s'"""
_ON_DISK: Final = "; SET LOCAL synchronous_commit = on"
_HINTS: Final = {
    "28": "check the user and the password",
    "3D": "create the database",
    "42501": "grant the user what it lacks",
    "53100": "free some of the server's disk",
    "25006": "name the server that may be written to (target_session_attrs=read-write)",
}
_SECRETS: Final = frozenset({"password", "sslpassword"})  # parameters of a URL
_MAX_TEXT: Final = 300


class DatabaseError(EdgeaudioError):
    """The database cannot be used; one line. `passing`: it may work again by itself, or by somebody's help there."""

    def __init__(self, message: str, *, passing: bool = True, state: str = "") -> None:
        super().__init__(message)
        self.passing = passing
        self.state = state  # PostgreSQL's SQLSTATE; empty: it gave none


class RowError(DatabaseError):
    """PostgreSQL refuses the values of a row: the row's own fault, and that of no other."""


class TooSlowError(DatabaseError):
    """A statement took longer than it may, or waited for a connection while others did."""


class NoPartitionError(DatabaseError):
    """A row's month has no partition: somebody dropped it."""


@dataclass(frozen=True, slots=True)
class Use:
    """Who uses a database, and how long each may wait for it."""

    program: str  # as PostgreSQL shows it
    connect_timeout_s: int
    statement_timeout_s: int


COLLECT: Final = Use("edgeaudio collect", connect_timeout_s=10, statement_timeout_s=60)


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """A URL that libpq can read. `str()` and `repr()` hide its secrets."""

    url: str = field(repr=False)
    where: str  # without login and parameters
    has_password: bool

    def __str__(self) -> str:
        return self.where


def parse_database_url(url: str) -> DatabaseUrl:
    """Check a URL. Raises EdgeaudioError, whose message holds no part of it."""
    if not url.startswith(_SCHEMES):
        raise EdgeaudioError(f"the database's URL must begin with postgresql://; {_ADVICE}")
    try:
        parts = {key: str(value) for key, value in conninfo_to_dict(url).items()}
    except psycopg.Error:
        raise EdgeaudioError(f"the database's URL cannot be read; {_ADVICE}") from None
    host, port, name = (parts.get(key, "") for key in ("host", "port", "dbname"))
    # a raw @ or / in a password moves the borders: a part of it would be taken for a host or a name, and shown
    if any("@" in text for text in (host, port, name)) or not re.fullmatch(r"[0-9,]*", port):
        raise EdgeaudioError(f"the database's URL can be read in two ways; {_ADVICE}")
    place = f"{host}:{port}" if port and not host.startswith("/") else host
    return DatabaseUrl(url, f"postgresql://{place}/{name}", not _SECRETS.isdisjoint(parts))


class Database:
    """Connections to one database, from any thread."""

    def __init__(self, url: DatabaseUrl, *, connections: int, use: Use = COLLECT) -> None:
        """Nothing is connected yet; `connections`: as many as may be in use at once."""
        self.url = url
        self._use = use
        wanted = _CONNECTION | {"connect_timeout": use.connect_timeout_s, "application_name": use.program}
        self._limits = {key: value for key, value in wanted.items() if f"{key}=" not in url.url}
        limit_s = use.statement_timeout_s
        self._settings = _SETTINGS.format(limit_s=limit_s, lock_s=min(10, limit_s))
        self._engine = create_engine(
            "postgresql+psycopg://",
            creator=self.connect,
            pool_size=connections,
            max_overflow=0,
            pool_timeout=use.connect_timeout_s,
            hide_parameters=True,
            execution_options={"preserve_rowcount": True},  # of INSERT too
        )

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Yield a connection; what was done is committed on return. Raises DatabaseError."""
        try:
            with self._engine.begin() as connection:
                connection.exec_driver_sql(self._settings)
                yield connection
        except exc.DBAPIError as error:
            raise self.error(error.orig) from None
        except exc.TimeoutError:
            raise TooSlowError(f"database {self.url}: all connections of this process are in use") from None
        except (psycopg.Error, exc.SQLAlchemyError, UnicodeError) as error:
            raise self.error(error) from None

    def close(self) -> None:
        self._engine.dispose()

    def connect(self) -> psycopg.Connection[Any]:
        """Return a connection of its own. Raises psycopg.Error."""
        # a pooler knows no prepared statements, or not those of another connection
        connection = psycopg.connect(self.url.url, prepare_threshold=None, **self._limits)
        try:
            row = connection.execute("SHOW synchronous_commit").fetchone()
            if row is not None and row[0] == "off" and not self._settings.endswith(_ON_DISK):
                self._settings += _ON_DISK
            connection.commit()
        except BaseException:
            connection.close()
            raise
        return connection

    def error(self, error: BaseException | None) -> DatabaseError:
        """Return an error of the driver as one line that says what to do."""
        state = getattr(error, "sqlstate", None) or ""
        text = one_line(mask(str(error).strip().split("\n")[0].removeprefix("connection failed: ")))[:_MAX_TEXT]
        # never by its words: a server may speak any language
        if state == "23514" and isinstance(error, psycopg.Error) and error.diag.constraint_name is None:
            return NoPartitionError(f"database {self.url}: {text}", state=state)
        # what the driver cannot send (NUL, half a surrogate pair) has no state
        if state[:2] in {"22", "23"} or isinstance(error, psycopg.DataError | UnicodeError):
            return RowError(f"database {self.url}: {text}", state=state)
        if state == "57014":  # statement_timeout, or somebody's pg_cancel_backend
            return TooSlowError(f"database {self.url}: {text}", state=state)
        hint = _HINTS.get(state) or _HINTS.get(state[:2])
        if not state:  # libpq gives none while it connects
            hint = _HINTS["28"] if "authentication failed" in text else "check that it runs, and its address"
        return DatabaseError(f"database {self.url}: {text}" + (f"; {hint}" if hint else ""), state=state)


class SessionLock:
    """An advisory lock that one process holds, for as long as a connection of its own lives. Called by one thread.

    It is that of a transaction which does nothing else, so that a pooler leaves it its connection.
    """

    def __init__(self, database: Database, number: int) -> None:
        self._database = database
        self._number = number
        self._connection: psycopg.Connection[Any] | None = None

    def is_held(self) -> bool:
        """Take the lock if it is free; True if this process has it. Raises DatabaseError: then it has it no more."""
        try:
            if self._connection is not None:
                self._connection.execute("SELECT 1")
                return True
            connection = self._database.connect()
            connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            row = connection.execute("SELECT pg_try_advisory_xact_lock(%s)", (self._number,)).fetchone()
            if row is not None and row[0]:
                self._connection = connection
            else:
                connection.close()
        except psycopg.Error as error:
            self.release()
            raise self._database.error(error) from None
        return self._connection is not None

    def release(self) -> None:
        """Give the lock back. Never raises."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
