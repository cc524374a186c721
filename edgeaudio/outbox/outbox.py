"""The outbox: messages wait here, on disk and in order, until the broker has acknowledged them.

Owns: the order, the bounds, and what happens while the disk fails.
Does not know: SQLite (database.py), MQTT, who sends, or what the messages mean.

Promises, each with a test that breaks something:
- `add` is one transaction, synced to the disk before it returns; order is kept.
- Only `delete` (the broker has it), the bounds (oldest first, counted) and an expiry asked for take messages out.
- A full or read-only disk, or one that fails: messages are kept in memory, in the same order and under the same
  bounds; the log and `stats().trouble` say so, and the disk is tried again every `retry_s`. What memory holds is
  then moved to it. Deletions that the disk refused are remembered, so that nothing is handed out twice.
- A damaged file is renamed to `<name>.damaged-<time>` (the newest three are kept), what can still be read of it is
  carried over, and a new one is begun.

With the messages, in the same transactions, it keeps the sounds that have begun and not ended (`open_events`), so
that after a crash their end can still be told, the few settings that commands changed, and the last number that was
given to a detection (`number`), so that a receiver can show a gap.

Ages survive a step of the system clock (a board without a battery gets its time from the network, some while after the
start): the times of what this process added move with it, so that nothing expires before its time.

Every method may be called from any thread: one lock. A second agent on the same file is an error at start, not two
senders of the same messages. `seq` numbers are positive, grow with every message, stay the same when a message moves
from memory to disk, and mean nothing to another process.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from math import inf
from pathlib import Path
from uuid import uuid4

from edgeaudio.errors import EdgeaudioError
from edgeaudio.outbox.database import (
    DiskError,
    OutboxFile,
    Transaction,
    is_in_use,
    move_damaged,
    rescue,
    size_of,
)
from edgeaudio.throttled_log import LogThrottle
from edgeaudio.types import Message, OutboxStats, StoredMessage

__all__ = ["Outbox", "OutboxError", "OutboxInUseError", "in_memory", "is_in_use"]

log = logging.getLogger(__name__)

_BATCH = 256
_DROPS_LOG_S = 60.0
_STEP_S = 1.0  # below, the clock is being slewed, or nothing happened
# the first number where the disk could not be read at start: above all that may be found on it later
_SEQ_WITHOUT_DISK = 2**40
_EPOCH, _NUMBER = "seq_epoch", "seq"  # settings of `number`
# such a state directory is a fault of the disk, to be lived with; any other is one of the set-up, to be told
_DISK_FAULTS = {errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO}


class OutboxError(EdgeaudioError):
    """The state directory cannot be used, or another agent uses it."""


class OutboxInUseError(OutboxError):
    """Another process has the outbox open: an agent, most likely."""


class Outbox:
    """Messages on disk, in order. Raises OutboxError where the set-up, not the disk, is at fault."""

    def __init__(
        self,
        path: Path,
        *,
        max_messages: int = 100_000,
        max_bytes: int = 32 * 1024 * 1024,
        expiry_s: float | None = None,
        retry_s: float = 30.0,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._expiry_s = expiry_s
        self._retry_s = retry_s
        self._now = now
        self._monotonic = monotonic
        self._clock_offset_s = now() - monotonic()
        self._lock = threading.RLock()
        self._listener: Callable[[], None] = lambda: None
        self._file: OutboxFile | None = None
        self._loaded = False  # whether what an earlier process left has been read
        self._trouble: str | None = None
        self._damaged_file: str | None = None
        self._damage: str | None = None
        self._retry_at = -inf  # monotonic
        self._waiting: dict[int, StoredMessage] = {}  # in memory because the disk failed, in order
        self._doomed: set[int] = set()  # to be deleted from the disk, which refused
        self._open_events: dict[str, str] = {}
        self._settings: dict[str, str] = {}
        self._depth = self._bytes = self._dropped = self._expired = self._unreported = 0
        self._expire_at = -inf  # monotonic
        self._throttle = LogThrottle(_DROPS_LOG_S)
        self._next_seq = _SEQ_WITHOUT_DISK
        _require_usable(path)
        try:
            self._connect()
        except DiskError as error:
            if error.in_use:
                raise OutboxInUseError(
                    f"outbox {path} is in use: another edgeaudio runs on this state directory"
                ) from None
            self._fail(error)
        self._first_seq = self._next_seq  # of this process

    def listen(self, listener: Callable[[], None]) -> None:
        """Have `listener` called, on the adding thread, after each `add`; it must be quick and not raise."""
        self._listener = listener

    def add(
        self, messages: Sequence[Message], *, opened: Mapping[str, str] | None = None, closed: Iterable[str] = ()
    ) -> int:
        """Commit messages, in order, in one transaction with the events that they open and close.

        `opened` maps event ids to whatever text will describe them after a crash; `closed` are event ids.
        Returns when all is on the disk, or in memory where the disk fails, with the number of the last message, for
        `holds`. Never raises for the disk's sake.
        """
        opened, closed = dict(opened or {}), list(closed)
        with self._lock:
            self._recover()
            self._follow_clock()
            rows = [StoredMessage(seq, message, self._now()) for seq, message in enumerate(messages, self._next_seq)]
            self._next_seq += len(rows)
            last = self._next_seq - 1
            self._open_events.update(opened)
            for event_id in closed:
                self._open_events.pop(event_id, None)
            numbers = {key: self._settings[key] for key in (_EPOCH, _NUMBER) if key in self._settings}
            written = self._write(Transaction(inserted=rows, opened=opened, closed=closed, settings=numbers))
            self._depth += len(rows)
            self._bytes += sum(size_of(row.message) for row in rows)
            if not written:
                self._waiting.update((row.seq, row) for row in rows)
                self._recover()  # at once, where the file was damaged and a new one takes its place
            self._drop_oldest()
        self._listener()
        return last

    def holds(self, seq: int) -> bool:
        """True if the message of that number still waits to be acknowledged."""
        return any(stored.seq == seq for stored in self.pending(1, after=seq - 1))

    def number(self, count: int) -> tuple[str, int]:
        """Reserve so many consecutive numbers, never to be given again; gives their epoch and the first of them.

        The next `add` keeps them. An epoch is new with a new database, and wherever the last number is not certain.
        """
        with self._lock:
            self._recover()
            epoch = self._settings.setdefault(_EPOCH, _new_epoch())
            first = int(self._settings.get(_NUMBER, "0")) + 1
            self._settings[_NUMBER] = str(first + count - 1)
            return epoch, first

    def pending(self, limit: int, *, after: int = 0, without_topics: Sequence[str] = ()) -> list[StoredMessage]:
        """Read up to `limit` waiting messages in order, with numbers above `after`, leaving some topics out."""
        with self._lock:
            self._recover()
            self._follow_clock()
            self._expire()
            return self._read(after, limit, without_topics)

    def delete(self, seqs: Iterable[int]) -> None:
        """Take messages out: the broker has them. Unknown numbers are ignored.

        Not synced to the disk by itself: a power cut can bring a deleted message back, and it is sent again.
        """
        with self._lock:
            self._recover()
            self._take_out(list(seqs))

    def stats(self) -> OutboxStats:
        """Tell depth, bytes, age and trouble; cheap enough for every health message."""
        with self._lock:
            self._recover()
            self._follow_clock()
            self._expire()
            first = next(iter(self._read(0, 1, ())), None)
            return OutboxStats(
                depth=self._depth,
                bytes=self._bytes,
                oldest_s=max(0.0, self._now() - first.added_at) if first else None,
                dropped=self._dropped,
                expired=self._expired,
                trouble=self._trouble,
                damaged_file=self._damaged_file,
                damage=self._damage,
            )

    def open_events(self) -> dict[str, str]:
        """Read the events that were opened and not closed, by id, oldest first."""
        with self._lock:
            return dict(self._open_events)

    def settings(self) -> dict[str, str]:
        """Read everything that `set_setting` keeps."""
        with self._lock:
            return dict(self._settings)

    def set_setting(self, key: str, value: str | None) -> None:
        """Keep a value over restarts; None forgets it."""
        with self._lock:
            self._recover()
            if value is None:
                self._settings.pop(key, None)
            else:
                self._settings[key] = value
            if not self._write(Transaction(settings={key: value})):
                self._recover()

    def close(self) -> None:
        """Close the file; what only memory holds is tried once more, and what is then left is reported as lost."""
        with self._lock:
            self._retry_at = -inf
            if not self._recover() and self._waiting:
                log.error("outbox: %d messages were only in memory and are lost: %s", len(self._waiting), self._trouble)
            self._disconnect()

    # --- what follows is called under the lock ---

    def _write(self, change: Transaction, *, durable: bool = True) -> bool:
        """Commit a change to the disk and tell whether that went well."""
        if self._trouble is not None or self._file is None:
            return False
        try:
            self._file.write(change, durable=durable)
        except DiskError as error:
            self._fail(error)
            return False
        return True

    def _read(self, after: int, limit: int, without_topics: Sequence[str]) -> list[StoredMessage]:
        """Read from the disk, and then from memory, which is always the younger."""
        found: list[StoredMessage] = []
        if self._file is not None:
            try:
                rows = self._file.read(after, limit + len(self._doomed), without_topics)
                found = [row for row in rows if row.seq not in self._doomed]
            except DiskError as error:
                self._fail(error)
                self._disconnect()
        if len(found) < limit and self._waiting:
            found += [
                row for row in self._waiting.values() if row.seq > after and row.message.topic not in without_topics
            ]
        return found[:limit]

    def _take_out(self, seqs: Sequence[int]) -> None:
        on_disk: list[int] = []
        for seq in seqs:
            row = self._waiting.pop(seq, None)
            size = self._size_on_disk(seq) if row is None else size_of(row.message)
            if size is None:
                continue
            if row is None:
                on_disk.append(seq)
            self._depth -= 1
            self._bytes -= size
        if on_disk and not self._write(Transaction(deleted=on_disk), durable=False):
            self._doomed.update(on_disk)
            self._recover()

    def _size_on_disk(self, seq: int) -> int | None:
        if seq in self._doomed or seq >= self._next_seq:
            return None
        if self._file is not None:
            try:
                return self._file.size(seq)
            except DiskError as error:
                self._fail(error)
                self._disconnect()
        # it was handed out once, so it may still be there; the counts are made good when the disk is back
        return 0

    def _drop_oldest(self) -> None:
        while self._depth > self._max_messages or self._bytes > self._max_bytes:
            depth, size, out = self._depth, self._bytes, list[int]()
            for row in self._read(0, _BATCH, ()):
                if depth <= self._max_messages and size <= self._max_bytes:
                    break
                out.append(row.seq)
                depth -= 1
                size -= size_of(row.message)
            if not out:  # the rest is on a disk that cannot be read: there is nothing to choose from
                break
            self._take_out(out)
            self._dropped += len(out)
            self._unreported += len(out)
        if self._unreported and self._throttle.is_due("full", self._monotonic()):
            log.error("outbox is full: the oldest %d messages were dropped", self._unreported)
            self._unreported = 0

    def _follow_clock(self) -> None:
        """Where the system clock was stepped, have the times of what this process added follow."""
        offset_s = self._now() - self._monotonic()
        step_s, self._clock_offset_s = offset_s - self._clock_offset_s, offset_s
        if abs(step_s) < _STEP_S:
            return
        self._waiting = {seq: replace(row, added_at=row.added_at + step_s) for seq, row in self._waiting.items()}
        self._write(Transaction(shifted=(self._first_seq, step_s)), durable=False)

    def _expire(self) -> None:
        if self._expiry_s is None or self._monotonic() < self._expire_at:
            return
        self._expire_at = self._monotonic() + min(1.0, self._expiry_s / 4)
        limit = self._now() - self._expiry_s
        while old := [row.seq for row in self._read(0, _BATCH, ()) if row.added_at < limit]:
            self._take_out(old)
            self._expired += len(old)
            log.warning("outbox: %d messages waited longer than %g s and were dropped", len(old), self._expiry_s)

    def _fail(self, error: DiskError) -> None:
        """Remember that the disk failed; a damaged file is given up, to be put aside at the next step."""
        if self._trouble is None:
            log.error(in_memory(f"{error} ({self._path})"))
        self._trouble = f"{error} ({self._path})"
        self._retry_at = self._monotonic() + self._retry_s
        if error.damaged and self._file is not None:
            self._retry_at = -inf
            self._disconnect()

    def _recover(self) -> bool:
        """Try the disk again when that is due, and bring it up to date; tells whether it is in use."""
        if self._trouble is None:
            return True
        if self._monotonic() < self._retry_at:
            return False
        self._disconnect()
        try:
            file = self._connect()
            file.write(
                Transaction(
                    forget_all=True,
                    deleted=self._doomed,
                    inserted=self._waiting.values(),
                    opened=self._open_events,
                    settings=self._settings,
                )
            )
            self._depth, self._bytes, _ = file.totals()
        except DiskError as error:
            self._fail(error)
            return False
        log.warning("outbox: the disk is in use again, %d messages were moved to it", len(self._waiting))
        self._waiting.clear()
        self._doomed.clear()
        self._trouble = None
        return True

    def _connect(self) -> OutboxFile:
        """Open the file; put a damaged one aside and begin a new one with what can be read of the old."""
        try:
            self._file = file = OutboxFile(self._path)
        except DiskError as error:
            if not error.damaged:
                raise
            moved_to = move_damaged(self._path)
            self._damaged_file = str(moved_to)
            self._file = file = OutboxFile(self._path)
            saved = rescue(moved_to)
            file.write(saved)
            self._damage = (
                f"outbox: {self._path} was damaged ({error}) and is now {moved_to.name}; a new one is begun, with "
                f"{file.totals()[0]} messages that could be read"
            )
            log.error(self._damage)  # noqa: TRY400 - one line for whoever reads the log; a traceback says nothing more
        if not self._loaded:
            self._load(file)
        return file

    def _load(self, file: OutboxFile) -> None:
        """Take over what an earlier process left."""
        count, size, last = file.totals()
        if last >= _SEQ_WITHOUT_DISK:
            file.renumber()
            last = count
        if self._trouble is None:
            self._next_seq = last + 1
        self._depth += count
        self._bytes += size
        self._open_events = {**file.open_events(), **self._open_events}
        kept = file.settings()
        if self._damaged_file is not None:  # what a damaged file says of the last number may be old
            kept.pop(_EPOCH, None)
            kept.pop(_NUMBER, None)
        self._settings = {**kept, **self._settings}
        self._loaded = True

    def _disconnect(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _new_epoch() -> str:
    return uuid4().hex[:8]


def in_memory(trouble: str) -> str:
    """Say in one line that messages are in memory, and what to do; `trouble` as in OutboxStats."""
    return f"outbox: the disk fails, messages are kept in memory: {trouble}; free some space or mount it writable"


def _require_usable(path: Path) -> None:
    """Raise OutboxError unless files can be made beside `path`, or only the disk itself is at fault."""
    directory = path.parent
    probe = directory / f".{path.name}.probe-{os.getpid()}"
    try:
        if path.is_dir():
            raise OutboxError(f"outbox {path} is a directory; remove it, or name another state directory")
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
        # detections tell who was at home: nobody else reads them
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        if error.errno not in _DISK_FAULTS:
            raise OutboxError(
                f"state directory {directory} cannot be used: {error.strerror}; "
                f"make it writable for user {os.geteuid()}, or name another"
            ) from None
