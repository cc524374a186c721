"""The outbox: messages wait here, on disk and in order, until the broker has acknowledged them.

Owns: the order, the bounds, the expiry, the numbers of detections, and one lock.
Does not know: what happens while the disk fails (store.py), SQLite (database.py), MQTT, who sends, or what the messages
mean.

Promises, each with a test that breaks something:
- `add` is one transaction, synced to the disk before it returns; order is kept.
- Only `delete` (the broker has it), the bounds (oldest first, counted) and an expiry asked for take messages out.
- A disk that fails: messages are kept in memory, in the same order and under the same bounds, and the log and
  `stats().trouble` say so; see store.py.

With the messages, in the same transactions, it keeps the sounds that have begun and not ended (`open_events`), so
that their end can be published after a crash, the few settings that commands changed, and the last number that was
given to a detection (`number`), so that a receiver can see a gap.

Ages survive a step of the system clock (a board without a battery gets its time from the network, some while after the
start): the times of what this process added move with it, so that nothing expires before its time.

Every method may be called from any thread. A second agent on the same file is an error at start, not two senders of the
same messages. `seq` numbers are positive, grow with every message, stay the same when a message moves from memory to
disk, and mean nothing to another process.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf
from pathlib import Path
from uuid import uuid4

from edgeaudio.errors import EdgeaudioError
from edgeaudio.outbox.database import DiskError, is_in_use, size_of
from edgeaudio.outbox.store import EPOCH, NUMBER, Store, in_memory
from edgeaudio.throttled_log import LogThrottle
from edgeaudio.types import Message, OutboxStats, StoredMessage

__all__ = ["Outbox", "OutboxError", "OutboxInUseError", "OutboxOfAnotherShardError", "in_memory", "is_in_use"]

log = logging.getLogger(__name__)

_BATCH = 256
SHARD = "shard"  # setting of `claim`
_DROPS_LOG_S = 60.0
_STEP_S = 1.0  # below, the clock is being slewed, or nothing happened
# these errno values mean a failing disk: continue in memory. Anything else is a configuration error: raise
_DISK_FAULTS = {errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO}


class OutboxError(EdgeaudioError):
    """The state directory cannot be used, or another agent uses it."""


class OutboxOfAnotherShardError(OutboxError):
    """The outbox is that of another shard of the centre."""


class OutboxInUseError(OutboxError):
    """Another process has the outbox open: an agent, most likely."""


class Outbox:
    """Messages on disk, in order. Raises OutboxError where the configuration, not the disk, is at fault."""

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
        self._now = now
        self._monotonic = monotonic
        self._clock_offset_s = now() - monotonic()
        self._lock = threading.RLock()
        self._listener: Callable[[], None] = lambda: None
        self._dropped = self._expired = 0
        self._dropped_unlogged = 0
        self._throttle = LogThrottle(_DROPS_LOG_S)
        self._expire_at = -inf  # monotonic
        _require_usable(path)
        try:
            self._store = Store(path, retry_s=retry_s, monotonic=monotonic)
        except DiskError:
            raise OutboxInUseError(f"outbox {path} is in use: another edgeaudio runs on this state directory") from None
        self._first_seq = self._store.next_seq  # of this process

    def listen(self, listener: Callable[[], None]) -> None:
        """Have `listener` called, on the adding thread, after each `add`; it must be quick and not raise."""
        self._listener = listener

    def add(
        self,
        messages: Sequence[Message],
        *,
        opened: Mapping[str, str] | None = None,
        closed: Iterable[str] = (),
        settings: Mapping[str, str] | None = None,
    ) -> int:
        """Commit messages, in order, in one transaction with the events that they open and close.

        `opened` maps event ids to whatever text will describe them after a crash; `closed` are event ids; `settings`
        are values to keep, as by `set_setting`.
        Returns when all is on the disk, or in memory where the disk fails, with the number of the last message, for
        `holds`. Never raises because of the disk.
        """
        opened, closed = dict(opened or {}), list(closed)
        with self._lock:
            self._store.recover()
            self._follow_clock()
            numbers = {key: self._store.settings[key] for key in (EPOCH, NUMBER) if key in self._store.settings}
            kept = numbers | dict(settings or {})
            self._store.add(messages, self._now(), opened=opened, closed=closed, settings=kept)
            last = self._store.next_seq - 1
            self._drop_oldest()
        self._listener()
        return last

    @property
    def is_half_full(self) -> bool:
        """True if half of its messages or bytes wait: what can wait elsewhere leaves the rest to detections."""
        with self._lock:
            return 2 * self._store.depth >= self._max_messages or 2 * self._store.bytes >= self._max_bytes

    def holds(self, seq: int) -> bool:
        """True if the message of that number still waits to be acknowledged."""
        return any(stored.seq == seq for stored in self.pending(1, after=seq - 1))

    def number(self, count: int) -> tuple[str, int]:
        """Reserve consecutive numbers that are never given again; return their epoch and the first of them.

        The next `add` keeps them. An epoch is new with a new database, and wherever the last number is not certain.
        """
        with self._lock:
            self._store.recover()
            settings = self._store.settings
            epoch = settings.setdefault(EPOCH, uuid4().hex[:8])
            first = int(settings.get(NUMBER, "0")) + 1
            settings[NUMBER] = str(first + count - 1)
            return epoch, first

    def pending(self, limit: int, *, after: int = 0, without_topics: Sequence[str] = ()) -> list[StoredMessage]:
        """Read up to `limit` waiting messages in order, with numbers above `after`, leaving some topics out."""
        with self._lock:
            self._store.recover()
            self._follow_clock()
            self._expire()
            return self._store.read(after, limit, without_topics)

    def delete(self, seqs: Iterable[int]) -> None:
        """Take messages out: the broker has them. Unknown numbers are ignored.

        Not synced to the disk by itself: a power cut can bring a deleted message back, and it is sent again.
        """
        with self._lock:
            self._store.recover()
            self._store.delete(seqs)

    def stats(self) -> OutboxStats:
        """Return depth, bytes, age and trouble; cheap enough for every health message."""
        with self._lock:
            store = self._store
            store.recover()
            self._follow_clock()
            self._expire()
            first = next(iter(store.read(0, 1)), None)
            return OutboxStats(
                depth=store.depth,
                bytes=store.bytes,
                oldest_s=max(0.0, self._now() - first.added_at) if first else None,
                dropped=self._dropped,
                expired=self._expired,
                trouble=store.trouble,
                damaged_file=store.damaged_file,
                damage=store.damage,
            )

    def open_events(self) -> dict[str, str]:
        """Return the events that were opened and not closed, by id, oldest first."""
        with self._lock:
            return dict(self._store.open_events)

    def settings(self) -> dict[str, str]:
        """Return everything that `set_setting` keeps."""
        with self._lock:
            return dict(self._store.settings)

    def set_setting(self, key: str, value: str | None) -> None:
        """Keep a value over restarts; None forgets it."""
        with self._lock:
            self._store.recover()
            self._store.set_setting(key, value)

    def claim(self, shard: int | None) -> None:
        """Keep the index of the shard that has this outbox; None: no shard has it.

        Raises OutboxOfAnotherShardError where another shard has it: both would have the wrong messages and numbers.
        """
        with self._lock:
            self._require_owner(shard)
            self._store.recover()
            self._store.set_setting(SHARD, None if shard is None else str(shard))

    def require_owner(self, shard: int | None) -> None:
        """Raise OutboxOfAnotherShardError where `claim` would."""
        with self._lock:
            self._require_owner(shard)

    def close(self) -> None:
        """Close the file; what only memory holds is tried once more, and what is then left is logged as lost."""
        with self._lock:
            self._store.close()

    # --- called under the lock ---

    def _require_owner(self, shard: int | None) -> None:
        owner = self._store.settings.get(SHARD)
        if shard is not None and owner not in {None, str(shard)}:
            raise OutboxOfAnotherShardError(
                f"state_dir: the outbox {self._path} belongs to shard {owner}, and this is shard {shard}: "
                "give each shard one of its own, which stays its own"
            )

    def _drop_oldest(self) -> None:
        store = self._store
        while store.depth > self._max_messages or store.bytes > self._max_bytes:
            depth, size, out = store.depth, store.bytes, list[int]()
            for row in store.read(0, _BATCH):
                if depth <= self._max_messages and size <= self._max_bytes:
                    break
                out.append(row.seq)
                depth -= 1
                size -= size_of(row.message)
            if not out:  # the rest is on a disk that cannot be read: there is nothing to choose from
                break
            store.delete(out)
            self._dropped += len(out)
            self._dropped_unlogged += len(out)
        if self._dropped_unlogged and self._throttle.is_due("full", self._monotonic()):
            log.error("outbox is full: the oldest %d messages were dropped", self._dropped_unlogged)
            self._dropped_unlogged = 0

    def _follow_clock(self) -> None:
        """Move the times of what this process added where the system clock was stepped."""
        offset_s = self._now() - self._monotonic()
        step_s, self._clock_offset_s = offset_s - self._clock_offset_s, offset_s
        if abs(step_s) >= _STEP_S:
            self._store.shift_times(self._first_seq, step_s)

    def _expire(self) -> None:
        if self._expiry_s is None or self._monotonic() < self._expire_at:
            return
        self._expire_at = self._monotonic() + min(1.0, self._expiry_s / 4)
        limit = self._now() - self._expiry_s
        while old := [row.seq for row in self._store.read(0, _BATCH) if row.added_at < limit]:
            self._store.delete(old)
            self._expired += len(old)
            log.warning("outbox: %d messages waited longer than %g s and were dropped", len(old), self._expiry_s)


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
        # detections show who was at home: only this user may read them
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        if error.errno not in _DISK_FAULTS:
            raise OutboxError(
                f"state directory {directory} cannot be used: {error.strerror}; "
                f"make it writable for user {os.geteuid()}, or name another"
            ) from None
