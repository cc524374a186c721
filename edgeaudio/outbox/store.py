"""The store under the outbox: rows on disk, or in memory while the disk fails.

Owns: the retries, what memory holds meanwhile, and what is done about a damaged file.
Does not know: SQLite (database.py), bounds, expiry and threads (outbox.py), what the messages mean.

While the disk fails (full, read-only, broken), rows are kept in memory, in the same order, and the disk is tried again
every `retry_s`. What memory holds is then moved to it. Deletions that the disk refused are remembered, so that nothing
is returned twice. A damaged file is renamed to `<name>.damaged-<time>` (the newest three are kept), what can still be
read of it is carried over, and a new one is begun.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Final

from edgeaudio.outbox.database import DiskError, OutboxFile, Transaction, move_damaged, rescue, size_of
from edgeaudio.types import Message, StoredMessage

log = logging.getLogger(__name__)

# the first number where the disk could not be read at start: above all that may be found on it later
_SEQ_WITHOUT_DISK = 2**40
EPOCH: Final[str] = "seq_epoch"  # settings of `Outbox.number`; what a damaged file has of them may be old
NUMBER: Final[str] = "seq"


class Store:
    """Messages, open events and settings. No method but the constructor raises; not thread-safe."""

    def __init__(self, path: Path, *, retry_s: float, monotonic: Callable[[], float]) -> None:
        """Open or begin the file; raise DiskError only where another process has it open."""
        self.depth = 0  # messages
        self.bytes = 0  # of messages
        self.next_seq = _SEQ_WITHOUT_DISK
        self.open_events: dict[str, str] = {}  # by id, oldest first
        self.settings: dict[str, str] = {}
        self.trouble: str | None = None  # why the disk is not in use
        self.damaged_file: str | None = None  # the newest that was renamed
        self.damage: str | None = None  # the log line about it
        self._path = path
        self._retry_s = retry_s
        self._monotonic = monotonic
        self._file: OutboxFile | None = None
        self._loaded = False  # whether what an earlier process left has been read
        self._retry_at = -inf  # monotonic
        self._waiting: dict[int, StoredMessage] = {}  # in memory because the disk failed, in order
        self._doomed: set[int] = set()  # to be deleted from the disk, which refused
        try:
            self._connect()
        except DiskError as error:
            if error.in_use:
                raise
            self._fail(error)

    def add(
        self,
        messages: Sequence[Message],
        added_at: float,
        *,
        opened: Mapping[str, str],
        closed: Iterable[str],
        settings: Mapping[str, str],
    ) -> None:
        """Commit messages, in order, in one transaction with the rest. `added_at`: Unix time.

        Returns when all is on the disk, or in memory where the disk fails.
        """
        rows = [StoredMessage(seq, message, added_at) for seq, message in enumerate(messages, self.next_seq)]
        self.next_seq += len(rows)
        self.open_events.update(opened)
        for event_id in closed:
            self.open_events.pop(event_id, None)
        self.settings.update(settings)
        written = self._write(Transaction(inserted=rows, opened=opened, closed=closed, settings=settings))
        self.depth += len(rows)
        self.bytes += sum(size_of(row.message) for row in rows)
        if not written:
            self._waiting.update((row.seq, row) for row in rows)
            self.recover()  # at once, where the file was damaged and a new one takes its place

    def read(self, after: int, limit: int, without_topics: Sequence[str] = ()) -> list[StoredMessage]:
        """Read messages in order, from the first number above `after`; those in memory are the younger."""
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

    def delete(self, seqs: Iterable[int]) -> None:
        """Delete messages; unknown numbers are ignored. Not synced to the disk by itself."""
        on_disk: list[int] = []
        for seq in seqs:
            row = self._waiting.pop(seq, None)
            size = self._size_on_disk(seq) if row is None else size_of(row.message)
            if size is None:
                continue
            if row is None:
                on_disk.append(seq)
            self.depth -= 1
            self.bytes -= size
        if on_disk and not self._write(Transaction(deleted=on_disk), durable=False):
            self._doomed.update(on_disk)
            self.recover()

    def set_setting(self, key: str, value: str | None) -> None:
        """Keep a value; None forgets it."""
        if value is None:
            self.settings.pop(key, None)
        else:
            self.settings[key] = value
        if not self._write(Transaction(settings={key: value})):
            self.recover()

    def shift_times(self, first_seq: int, by_s: float) -> None:
        """Move the times of adding, from that number on and of all that memory holds."""
        self._waiting = {seq: replace(row, added_at=row.added_at + by_s) for seq, row in self._waiting.items()}
        self._write(Transaction(shifted=(first_seq, by_s)), durable=False)

    def recover(self) -> bool:
        """Try the disk again when that is due, and bring it up to date; return whether it is in use."""
        if self.trouble is None:
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
                    opened=self.open_events,
                    settings=self.settings,
                )
            )
            self.depth, self.bytes, _ = file.totals()
        except DiskError as error:
            self._fail(error)
            return False
        log.warning("outbox: the disk is in use again, %d messages were moved to it", len(self._waiting))
        self._waiting.clear()
        self._doomed.clear()
        self.trouble = None
        return True

    def close(self) -> None:
        """Close the file; what only memory holds is tried once more, and what is then left is logged as lost."""
        self._retry_at = -inf
        if not self.recover() and self._waiting:
            log.error("outbox: %d messages were only in memory and are lost: %s", len(self._waiting), self.trouble)
        self._disconnect()

    def _write(self, change: Transaction, *, durable: bool = True) -> bool:
        """Commit a change to the disk; return whether that succeeded."""
        if self.trouble is not None or self._file is None:
            return False
        try:
            self._file.write(change, durable=durable)
        except DiskError as error:
            self._fail(error)
            return False
        return True

    def _size_on_disk(self, seq: int) -> int | None:
        if seq in self._doomed or seq >= self.next_seq:
            return None
        if self._file is not None:
            try:
                return self._file.size(seq)
            except DiskError as error:
                self._fail(error)
                self._disconnect()
        # it was returned once, so it may still be there; the counts are corrected when the disk is back
        return 0

    def _fail(self, error: DiskError) -> None:
        """Note that the disk failed; a damaged file is closed, to be renamed at the next try, which is due at once."""
        if self.trouble is None:
            log.error(in_memory(f"{error} ({self._path})"))
        self.trouble = f"{error} ({self._path})"
        self._retry_at = self._monotonic() + self._retry_s
        if error.damaged and self._file is not None:
            self._retry_at = -inf
            self._disconnect()

    def _connect(self) -> OutboxFile:
        """Open the file; rename a damaged one and begin a new one with what can be read of the old."""
        try:
            self._file = file = OutboxFile(self._path)
        except DiskError as error:
            if not error.damaged:
                raise
            moved_to = move_damaged(self._path)
            self.damaged_file = str(moved_to)
            self._file = file = OutboxFile(self._path)
            saved = rescue(moved_to)
            file.write(saved)
            self.damage = (
                f"outbox: {self._path} was damaged ({error}) and is now {moved_to.name}; a new one is begun, with "
                f"{file.totals()[0]} messages that could be read"
            )
            log.error(self.damage)  # noqa: TRY400 (one line; a traceback would add nothing)
        if not self._loaded:
            self._load(file)
        return file

    def _load(self, file: OutboxFile) -> None:
        """Read what an earlier process left."""
        count, size, last = file.totals()
        if last >= _SEQ_WITHOUT_DISK:
            file.renumber()
            last = count
        if self.trouble is None:
            self.next_seq = last + 1
        self.depth += count
        self.bytes += size
        self.open_events = {**file.open_events(), **self.open_events}
        kept = file.settings()
        if self.damaged_file is not None:
            kept.pop(EPOCH, None)
            kept.pop(NUMBER, None)
        self.settings = {**kept, **self.settings}
        self._loaded = True

    def _disconnect(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def in_memory(trouble: str) -> str:
    """Return the one line that says that messages are in memory, and what to do; `trouble` as in OutboxStats."""
    return f"outbox: the disk fails, messages are kept in memory: {trouble}; free some space or mount it writable"
