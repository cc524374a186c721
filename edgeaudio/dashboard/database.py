"""The dashboard's own SQLite file: opened, locked, written by one and read by one.

Owns: the connections, the lock file, which file is damaged, and what an error means for a person. The only importer of
sqlite3 in this room. Does not know: what is in the tables (history.py and the other stores).

WAL with synchronous=FULL: what a transaction has committed may be acknowledged to the broker. One connection writes and
one reads; each has a lock, so that any thread may call. Of one file there is one Database at a time, by a lock file
beside it: of two, each would take for repeated what the other had stored. Every method raises DatabaseError.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TypeAlias

from edgeaudio.errors import EdgeaudioError

log = logging.getLogger(__name__)

Connection: TypeAlias = sqlite3.Connection
Upgrade: TypeAlias = Callable[[sqlite3.Connection, int], None]

LAYOUT: Final = 2
_APPLICATION: Final = 0x65646768  # in the file's head: a database of another program is left alone
_LOCK_WAIT_S = 2.0
_READ_LIMIT_S = 2.0
_FULL = {errno.ENOSPC, errno.EDQUOT}
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_PASSING = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}

_FAILS: Final = "the dashboard's database cannot be used now: its log says why"


class DatabaseError(EdgeaudioError):
    """The database cannot be used; one line, which may name the file."""

    def __init__(self, message: str, *, passing: bool, public: str = _FAILS) -> None:
        super().__init__(message)
        self.passing = passing  # it may work again by itself: locked, full
        self.public = public  # one line for strangers, without the file


class Database:
    """The file. It is opened when it is first needed, and again after a failure."""

    def __init__(
        self, path: Path, schema: Sequence[str], upgrade: Upgrade, columns: Sequence[tuple[str, str]] = ()
    ) -> None:
        """Nothing is opened yet.

        `schema`: the statements that make every table that is not there. `columns`: each a table and the declaration
        of a column that an older file may lack. `upgrade` gets a file of an older layout with all of these, and the
        number of that, in the same transaction.
        """
        self.path = path
        self._columns = tuple(columns)
        self._schema = (
            *schema,
            f"PRAGMA application_id = {_APPLICATION}",
            f"PRAGMA user_version = {LAYOUT}",
        )
        self._upgrade = upgrade
        self._is_damaged = False
        self._generation = 0  # of the file; the reader follows
        self._reader_generation = 0
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()
        self._claim: int | None = None  # descriptor of the lock file
        self._opened: tuple[int, int] | None = None  # device and inode of the file that the writer has open
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None

    @property
    def is_damaged(self) -> bool:
        """True if the file was found damaged; the next `open` or `write` begins a new one."""
        return self._is_damaged

    @property
    def generation(self) -> int:
        """Another number for another file: a damaged one was moved, or the file was replaced."""
        return self._generation

    def open(self) -> None:
        """Open the file, or create it."""
        with self.writing():
            pass

    def close(self) -> None:
        """Close the file; the writer last, which then moves the write-ahead log into it."""
        with self._read_lock:
            self._close_reader()
        with self._write_lock:
            self._close_writer()
            if self._claim is not None:
                os.close(self._claim)
                self._claim = None

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection that writes, in a transaction; what raises rolls it back."""
        with self._write_lock, self._errors(self._close_writer):
            if self._is_damaged:
                self._move_damaged()
            if self._writer is not None and self._inode() != self._opened:
                self._close_writer()  # what it writes would be in a file that nobody can open again
                self._generation += 1
                log.error("history %s was removed or replaced: it is opened anew", self.path)
            if self._writer is None:
                self._writer = self._open_writer()
                self._opened = self._inode()
            db = self._writer
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:  # SQLite rolls some failed transactions back by itself
                    with suppress(sqlite3.Error):
                        db.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection that reads, for two seconds at most."""
        with self._read_lock, self._errors(self._close_reader):
            if self._reader_generation != self._generation:
                self._close_reader()
            if self._reader is None:
                self._reader_generation = self._generation
                self._reader = self._open_reader()
            deadline_s = time.monotonic() + _READ_LIMIT_S
            self._reader.set_progress_handler(lambda: time.monotonic() > deadline_s, 10_000)
            yield self._reader

    @contextmanager
    def _errors(self, close: Callable[[], None]) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            code = int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
            if code == sqlite3.SQLITE_INTERRUPT:
                slow = f"the search took longer than {_READ_LIMIT_S:g} s: narrow it by device, label or time"
                raise DatabaseError(slow, passing=True, public=slow) from None
            if code not in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
                close()
            if code in _DAMAGE:
                self._is_damaged = True  # the next write begins a new file
            raise DatabaseError(
                f"history {self.path}: {_advice(error, code)}", passing=code in _DAMAGE | _PASSING
            ) from None
        except OSError as error:
            raise DatabaseError(
                f"history {self.path}: {error.strerror}; set dashboard.database", passing=error.errno in _FULL
            ) from None

    def _open_writer(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self._claim is None:
            self._claim = self._take_lock()
        db = sqlite3.connect(self.path, timeout=_LOCK_WAIT_S, isolation_level=None, check_same_thread=False)
        try:
            (application,) = db.execute("PRAGMA application_id").fetchone()
            (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if tables:
                self._require_own(application)
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            db.execute("PRAGMA journal_size_limit = 67108864")
            db.execute("PRAGMA trusted_schema = OFF")
            (layout,) = db.execute("PRAGMA user_version").fetchone()
            self._require_known(layout)
            if layout < LAYOUT:
                db.execute("BEGIN IMMEDIATE")
                self._make_tables(db)
                if layout > 0:
                    log.info("history %s is of an older edgeaudio: it is brought up to date", self.path)
                    self._upgrade(db, layout)
                db.execute("COMMIT")
        except BaseException:
            db.close()
            raise
        return db

    def _open_reader(self) -> sqlite3.Connection:
        db = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode=ro", uri=True, timeout=_LOCK_WAIT_S, check_same_thread=False
        )
        try:
            (layout,) = db.execute("PRAGMA user_version").fetchone()
            self._require_known(layout)
            self._require_current(layout)
        except BaseException:
            db.close()
            raise
        return db

    def _make_tables(self, db: sqlite3.Connection) -> None:
        """Make what an empty or an older file lacks. A column can be added in no time, however long the table is."""
        for table, declaration in self._columns:
            there = {name for _, name, *_ in db.execute(f"PRAGMA table_info({table})")}
            if there and declaration.partition(" ")[0] not in there:
                db.execute(f"ALTER TABLE {table} ADD COLUMN {declaration}")
        for statement in self._schema:
            db.execute(statement)

    def _inode(self) -> tuple[int, int] | None:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino

    def _take_lock(self) -> int:
        descriptor = os.open(
            self.path.with_name(f"{self.path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644
        )
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise DatabaseError(
                f"history {self.path}: another dashboard uses it: stop that one, or set another dashboard.database",
                passing=False,
            ) from None
        except OSError as error:  # a file system without such locks
            log.warning(
                "history %s: cannot be locked (%s): see that no other dashboard uses it", self.path, error.strerror
            )
        return descriptor

    def _require_own(self, application: int) -> None:
        if application != _APPLICATION:
            raise DatabaseError(
                f"history {self.path}: is a database of another program: set another dashboard.database", passing=False
            )

    def _require_known(self, layout: int) -> None:
        if layout > LAYOUT:
            raise DatabaseError(
                f"history {self.path}: is of a newer edgeaudio (layout {layout}, this one knows {LAYOUT}): upgrade, "
                "or set another dashboard.database",
                passing=False,
            )

    def _require_current(self, layout: int) -> None:
        """Refuse a file that is only read, and that no dashboard of this version has opened yet."""
        if 0 < layout < LAYOUT:
            raise DatabaseError(
                f"history {self.path}: is of an older edgeaudio: start the dashboard once, which brings it up to date",
                passing=False,
            )

    def _move_damaged(self) -> None:
        """Rename a damaged file, over an earlier one, so that a new one begins. Raises OSError."""
        self._close_writer()
        moved = self.path.with_name(f"{self.path.name}.damaged")
        for suffix in ("-wal", "-shm", ""):
            with suppress(FileNotFoundError):
                self.path.with_name(self.path.name + suffix).replace(moved.with_name(moved.name + suffix))
        self._is_damaged = False
        self._generation += 1
        log.error("history %s is damaged: it is now %s, and a new one begins", self.path, moved.name)

    def _close_writer(self) -> None:
        if self._writer is not None:
            with suppress(sqlite3.Error):
                self._writer.close()
            self._writer = None

    def _close_reader(self) -> None:
        if self._reader is not None:
            with suppress(sqlite3.Error):
                self._reader.close()
            self._reader = None


def _advice(error: sqlite3.Error, code: int) -> str:
    hints = {
        sqlite3.SQLITE_BUSY: "another process has it locked; see which, or set another dashboard.database",
        sqlite3.SQLITE_CANTOPEN: "cannot be opened; see that the folder is there and may be written to",
        sqlite3.SQLITE_READONLY: "may not be written to; see to its owner, or set another dashboard.database",
        sqlite3.SQLITE_FULL: "the disk is full; free some of it, or lower dashboard.keep_days",
    }
    return hints.get(code, f"{error}")
