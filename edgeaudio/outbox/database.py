"""The outbox's SQLite file: opening, transactions, and what to do with a damaged one.

Owns: the schema, the pragmas, and SQLite's errors, which leave here as `DiskError`. The only importer of sqlite3.
Does not know: memory and retries (store.py), bounds (outbox.py), MQTT, or what the messages mean.

WAL with synchronous=FULL: a committed transaction survives a power cut. Deletions are committed with NORMAL, without
a sync of their own: a power cut can undo them, and a message is then sent twice under one id, which receivers
must expect anyway. The file is locked exclusively while it is open.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Self

from edgeaudio.types import Message, StoredMessage

# An older edgeaudio must be able to use a newer one's file, after a rollback: tables are added, and columns that have a
# default; none is renamed or removed. The number in the file is that of the first layout whose readers can use it, and
# stays as it is while that rule is kept.
_LAYOUT = 1
_SCHEMA = (
    """CREATE TABLE messages (
        seq INTEGER PRIMARY KEY, topic TEXT NOT NULL, payload BLOB NOT NULL, qos INTEGER NOT NULL,
        retain INTEGER NOT NULL, size INTEGER NOT NULL, added_at REAL NOT NULL)""",
    "CREATE TABLE open_events (id TEXT PRIMARY KEY, event TEXT NOT NULL)",
    "CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    f"PRAGMA user_version = {_LAYOUT}",
)
# an existing key keeps its index entry: one page less to write
_KEEP = "INSERT INTO settings (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
_COLUMNS = "seq, topic, payload, qos, retain, added_at"
_DAMAGED_KEPT = 3
# a transaction writes whole pages, four or five with a few hundred bytes changed: the smallest that hold a detection
_PAGE_BYTES = 1024
_CACHE_KIB = 256  # SQLite's default, 2 MB, would never be freed after the first long outage
_LOCK_WAIT_S = 2.0
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class DiskError(Exception):
    """The file could not be read or written; the message says why in a few words."""

    def __init__(self, why: str, *, damaged: bool = False, in_use: bool = False) -> None:
        super().__init__(why)
        self.damaged = damaged  # its contents cannot be trusted
        self.in_use = in_use  # another process has it open


@dataclass(frozen=True, slots=True)
class Transaction:
    """The changes of one transaction, made in this order, all or none."""

    forget_all: bool = False  # open events and settings, before the new ones are written
    shifted: tuple[int, float] | None = None  # a number, and the seconds by which times of adding move from it on
    deleted: Iterable[int] = ()
    inserted: Iterable[StoredMessage] = ()
    opened: Mapping[str, str] = field(default_factory=dict)
    closed: Iterable[str] = ()
    settings: Mapping[str, str | None] = field(default_factory=dict)  # None: forget the key


class OutboxFile:
    """One open file. Every method raises DiskError; not thread-safe, but usable from any thread in turn."""

    def __init__(self, path: Path) -> None:
        """Open the file or create it. DiskError says if it is damaged, of a foreign schema, or in use elsewhere."""
        with _disk_errors():
            self._db = sqlite3.connect(path, timeout=_LOCK_WAIT_S, isolation_level=None, check_same_thread=False)
        try:
            with _disk_errors():
                self._prepare()
        except BaseException:
            self.close()
            raise

    def _prepare(self) -> None:
        self._db.execute(f"PRAGMA page_size = {_PAGE_BYTES}")  # of a new file
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA journal_size_limit = 4194304")
        self._db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        self._db.execute("PRAGMA trusted_schema = OFF")
        (verdict,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise DiskError(verdict, damaged=True)
        (least_reader,) = self._db.execute("PRAGMA user_version").fetchone()
        if least_reader > _LAYOUT:
            raise DiskError(f"it asks for layout {least_reader}, this edgeaudio knows {_LAYOUT}", damaged=True)
        with self._transaction(durable=True):  # takes the lock, even where nothing is written
            for statement in _SCHEMA if least_reader == 0 else ():
                self._db.execute(statement)

    def write(self, change: Transaction, *, durable: bool = True) -> None:
        """Commit a change; `durable`: it is synced to the disk when this returns."""
        with _disk_errors(), self._transaction(durable=durable):
            if change.forget_all:
                self._db.execute("DELETE FROM open_events")
                self._db.execute("DELETE FROM settings")
            if change.shifted is not None:
                first, by_s = change.shifted
                self._db.execute("UPDATE messages SET added_at = added_at + ? WHERE seq >= ?", (by_s, first))
            self._db.executemany("DELETE FROM messages WHERE seq = ?", [(seq,) for seq in change.deleted])
            # "or replace": a commit that failed at its very end can be found done when the file is opened again
            self._db.executemany(
                f"INSERT OR REPLACE INTO messages ({_COLUMNS}, size) VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - a constant
                [_row(stored) for stored in change.inserted],
            )
            self._db.executemany("INSERT OR REPLACE INTO open_events (id, event) VALUES (?, ?)", change.opened.items())
            self._db.executemany("DELETE FROM open_events WHERE id = ?", [(event_id,) for event_id in change.closed])
            for key, value in change.settings.items():
                if value is None:
                    self._db.execute("DELETE FROM settings WHERE key = ?", (key,))
                else:
                    self._db.execute(_KEEP, (key, value))

    def read(self, after: int, limit: int, without_topics: Sequence[str] = ()) -> list[StoredMessage]:
        """Read messages in order, from the first number above `after`."""
        marks = ", ".join("?" * len(without_topics))
        query = f"SELECT {_COLUMNS} FROM messages WHERE seq > ? AND topic NOT IN ({marks}) ORDER BY seq LIMIT ?"  # noqa: S608 - columns and question marks
        with _disk_errors():
            return [_stored(row) for row in self._db.execute(query, (after, *without_topics, limit))]

    def size(self, seq: int) -> int | None:
        """Return the size of a message in bytes; None: it is not here."""
        with _disk_errors():
            row = self._db.execute("SELECT size FROM messages WHERE seq = ?", (seq,)).fetchone()
        return None if row is None else int(row[0])

    def totals(self) -> tuple[int, int, int]:
        """Return the count of messages, their bytes, and the highest number (0: none)."""
        with _disk_errors():
            count, size, last = self._db.execute(
                "SELECT count(*), coalesce(sum(size), 0), coalesce(max(seq), 0) FROM messages"
            ).fetchone()
        return count, size, last

    def renumber(self) -> None:
        """Number the messages from 1 on, in their order."""
        with _disk_errors(), self._transaction(durable=True):
            left = [seq for (seq,) in self._db.execute("SELECT seq FROM messages ORDER BY seq")]
            self._db.executemany("UPDATE messages SET seq = ? WHERE seq = ?", enumerate(left, 1))

    def open_events(self) -> dict[str, str]:
        with _disk_errors():
            return dict(self._db.execute("SELECT id, event FROM open_events ORDER BY rowid").fetchall())

    def settings(self) -> dict[str, str]:
        with _disk_errors():
            return dict(self._db.execute("SELECT key, value FROM settings").fetchall())

    def close(self) -> None:
        """Close the file, if need be without a last checkpoint: the write-ahead log has everything."""
        with suppress(sqlite3.Error):
            self._db.close()

    @contextmanager
    def _transaction(self, *, durable: bool) -> Iterator[None]:
        self._db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # SQLite rolls some failed transactions back by itself
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def is_in_use(path: Path) -> bool:
    """True if another process has the file open. Writes nothing, and needs no right to."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=0.0)) as db:
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        return _primary_code(error) == sqlite3.SQLITE_BUSY
    return False


def move_damaged(path: Path) -> Path:
    """Rename a damaged file and its write-ahead log, remove old damaged ones, and return the new path."""
    moved_to = path.with_name(f"{path.name}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}")
    try:
        for suffix in ("-wal", "-shm", ""):
            with suppress(FileNotFoundError):
                path.with_name(path.name + suffix).rename(moved_to.with_name(moved_to.name + suffix))
        for old in sorted(path.parent.glob(f"{path.name}.damaged-*Z"))[:-_DAMAGED_KEPT]:
            for suffix in ("-wal", "-shm", ""):
                old.with_name(old.name + suffix).unlink(missing_ok=True)
    except OSError as error:
        raise DiskError(f"damaged, and cannot be renamed: {error.strerror}") from None
    return moved_to


def rescue(path: Path) -> Transaction:
    """Read what can be read of a damaged file: messages up to the first damaged page, open events and settings."""
    messages: list[StoredMessage] = []
    opened: dict[str, str] = {}
    settings: dict[str, str] = {}
    tables = {"id, event FROM open_events": opened, "key, value FROM settings": settings}
    with suppress(sqlite3.Error), closing(sqlite3.connect(path, isolation_level=None)) as db:
        with suppress(sqlite3.Error):
            for row in db.execute(f"SELECT {_COLUMNS} FROM messages ORDER BY seq"):  # noqa: S608 - a constant
                match row:
                    case (int(), str(), bytes(), 0 | 1, 0 | 1, float()):
                        messages.append(_stored(row))
        for table, found in tables.items():
            with suppress(sqlite3.Error):
                for row in db.execute(f"SELECT {table}"):
                    match row:
                        case (str(key), str(value)):
                            found[key] = value
    # a damaged index can return a row twice; the new file takes each number once
    return Transaction(
        inserted=list({row.seq: row for row in messages}.values()),
        opened=opened,
        settings=settings,
    )


def size_of(message: Message) -> int:
    """Return the bytes of a message that count for the bounds: topic and payload."""
    return len(message.topic.encode()) + len(message.payload)


def _row(stored: StoredMessage) -> tuple[int, str, bytes, int, bool, float, int]:
    m = stored.message
    return stored.seq, m.topic, m.payload, m.qos, m.retain, stored.added_at, size_of(m)


def _stored(row: tuple[int, str, bytes, Literal[0, 1], int, float]) -> StoredMessage:
    seq, topic, payload, qos, retain, added_at = row
    return StoredMessage(seq, Message(topic, payload, qos, bool(retain)), added_at)


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        code = _primary_code(error)
        raise DiskError(str(error), damaged=code in _DAMAGE, in_use=code == sqlite3.SQLITE_BUSY) from error


def _primary_code(error: sqlite3.Error) -> int:
    """Return SQLite's error code without its details."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
