"""DuckDB, locked: it reads the results of one place, and nothing else of this machine or of the network.

Owns: the limits, the only import of DuckDB, and the name `results` under which SQL finds the rows.
Does not know: which files hold results that count, what is asked.

No value of a file or of a user ever becomes text of SQL: all are parameters.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import duckdb

from edgeaudio.archive.rows import SCHEMA
from edgeaudio.errors import EdgeaudioError

MEMORY: Final = "512MB"  # beyond it DuckDB goes on with files in a temporary folder
MOST_THREADS: Final = 8
_SETTINGS: Final[dict[str, str | bool | int | float | list[str]]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "preserve_insertion_order": "false",
    "memory_limit": MEMORY,
}
_COLUMNS = ", ".join(SCHEMA.names)


class UnreadableError(EdgeaudioError):
    """A file of results cannot be read, or has other columns."""


class Database:
    """A connection to a database in memory; it may read below one folder."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def read_from(self, files: Sequence[Path], *, by_name: bool = False) -> None:
        """Have `results` be the rows of these files; by_name: which may have more columns than ours."""
        execute = self._connection.execute
        execute("DELETE FROM files")
        if files:
            execute("INSERT INTO files SELECT unnest($files)", {"files": [os.fspath(file) for file in files]})
            execute("SET VARIABLE files = (SELECT list(path) FROM files)")
        options = ", union_by_name = true" if by_name else ""
        source = f"read_parquet(getvariable('files'){options})" if files else "nothing"
        try:
            execute(f"CREATE OR REPLACE VIEW results AS SELECT {_COLUMNS} FROM {source}")
        except duckdb.Error as error:
            raise UnreadableError(_first_line(error)) from None

    def rows(self, sql: str, values: Mapping[str, object] | None = None) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a question; values are those of its parameters. Raises UnreadableError."""
        try:
            found = self._connection.execute(sql, values)
            while some := found.fetchmany(10_000):
                yield from some
        except (duckdb.Error, UnicodeDecodeError) as error:
            raise UnreadableError(_first_line(error)) from None

    def batches(self, sql: str, values: Mapping[str, object], rows: int) -> Iterator[Any]:
        """Yield what `rows` does as Arrow's record batches of at most so many rows."""
        try:
            yield from self._connection.sql(sql, params=values).to_arrow_reader(rows)
        except (duckdb.Error, OSError) as error:
            raise UnreadableError(_first_line(error)) from None

    def keep(self, table: str, columns: str, rows: Sequence[Sequence[object]]) -> None:
        """Make a table of values, by columns: lists of one length. Table and columns are words of a module."""
        names = [column.split()[0] for column in columns.split(", ")]
        values = ", ".join(f"unnest(${name})" for name in names)
        self._connection.execute(f"CREATE OR REPLACE TABLE {table} ({columns})")
        if rows and rows[0]:
            self._connection.execute(f"INSERT INTO {table} SELECT {values}", dict(zip(names, rows, strict=True)))

    def make(self, sql: str, values: Mapping[str, object] | None = None) -> None:
        """Execute what answers nothing. Raises UnreadableError."""
        for _ in self.rows(sql, values):
            pass


@contextmanager
def database(folder: Path, threads: int | None = None) -> Iterator[Database]:
    """Yield a database that may read below a folder, and keep temporary files of its own. Closed afterwards.

    Raises EdgeaudioError if there is no folder for those.
    """
    count = threads or min(len(os.sched_getaffinity(0)), MOST_THREADS)
    try:
        temporary = tempfile.TemporaryDirectory(prefix="edgeaudio-")
    except OSError as error:
        raise EdgeaudioError(f"no temporary folder can be made: {error.strerror}; name one by TMPDIR") from None
    with temporary as scratch:
        connection = duckdb.connect(":memory:", config={**_SETTINGS, "threads": count, "temp_directory": scratch})
        try:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute("SET enable_progress_bar = false")
            connection.execute("SET allowed_directories = ?", [[f"{folder}{os.sep}"]])
            connection.execute("SET enable_external_access = false")
            connection.execute("SET lock_configuration = true")
            connection.execute("CREATE TABLE files (path VARCHAR)")
            connection.register("arrow_nothing", SCHEMA.empty_table())
            connection.execute("CREATE TABLE nothing AS FROM arrow_nothing")
            connection.unregister("arrow_nothing")
            yield Database(connection)
        finally:
            connection.close()


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
