"""Clips and pictures that are kept: files and their rows, within bounds of bytes, age and the disk's free space.

Owns: what has to go for what comes, what is lost and counted, and that files and rows agree after a crash.
Does not know: MQTT, HTTP. Any thread may call; times are Unix seconds, handed in.

What is over the quota goes from the device that has the most, its oldest first: a device that floods, or whoever
publishes in its name, displaces its own. A file that cannot be kept is lost and counted: it never delays a detection,
for it comes over a connection of its own, and leaves room on the disk for the history.

A file is written before its row and removed after it. What a crash leaves between is removed at the next start, and the
files of a database that was damaged go with its rows.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgeaudio.dashboard.database import Database, DatabaseError
from edgeaudio.dashboard.media.folder import LOCK, MediaFolder
from edgeaudio.dashboard.media.store import EventKey, MediaStore, Row, StoredMedium
from edgeaudio.dashboard.media.wire import MediaKind, MediaType, Medium
from edgeaudio.throttled_log import LogThrottle

log = logging.getLogger(__name__)

MAX_DEVICES: Final = 2_000  # that have files
MIN_FREE_BYTES: Final = 200_000_000  # of the disk, for the history
MAX_ARRIVALS: Final = 500  # that are remembered for pages
_BLOCK: Final = 4096  # bytes; a file counts as whole blocks, so that the quota bounds the number of files too
_AT_ONCE: Final = 500  # rows of one transaction
_SLACK: Final = 0.01  # of the quota, that is freed at once


@dataclass(frozen=True, slots=True)
class Arrival:
    """A clip or a picture that came, with its number of arrival."""

    number: int
    event: EventKey
    type: MediaType


@dataclass(frozen=True, slots=True)
class OpenMedium:
    """A file that is open for reading; whoever has it closes the descriptor."""

    descriptor: int
    bytes: int
    type: MediaType
    version: str  # another for other content


@dataclass(frozen=True, slots=True)
class MediaNumbers:
    """What is kept and what was not."""

    files: int
    bytes: int  # whole blocks
    lost: int  # since the start


class MediaArchive:
    """All that is kept. With a quota of 0 that is nothing: what there is goes."""

    def __init__(
        self, database: Database, folder: Path, *, max_bytes: int, keep_s: float, min_free_bytes: int = MIN_FREE_BYTES
    ) -> None:
        self.store = MediaStore(database)
        self.folder = MediaFolder(folder)
        self._database = database
        self._max_bytes = max_bytes
        self._keep_s = keep_s
        self._min_free_bytes = min_free_bytes
        self._lock = threading.Lock()  # of files and rows together, and of what is counted; held while the disk works
        self._used: Counter[str] = Counter()  # bytes by device
        self._files = 0
        self._generation: int | None = None  # of the database whose rows are counted; None: of none
        self._lost = 0
        self._throttle = LogThrottle()
        self._news = threading.Lock()  # of what follows; never held for long: an event loop asks
        self._number = 0
        self._arrivals: deque[Arrival] = deque(maxlen=MAX_ARRIVALS)

    @property
    def is_on(self) -> bool:
        """True if clips and pictures are to be received."""
        return self._max_bytes > 0

    def open(self) -> None:
        """Count what is kept, and remove files without a row and rows without a file. Never raises."""
        with self._lock:
            try:
                self._reconcile()
            except (DatabaseError, OSError) as error:
                self._log(_words(error))

    def close(self) -> None:
        self.folder.close()

    def put(self, medium: Medium, plot: tuple[float, float] | None, now_s: float) -> bool:
        """Keep a file; False: it is there already, or is lost. Never raises DatabaseError or OSError."""
        event, kind = (medium.device, medium.source, medium.id), medium.type.kind
        with self._lock:
            try:
                if self._generation != self._database.generation:
                    self._reconcile()
                if self.store.find(event, kind) is not None:
                    return False
                self._put(event, medium, plot, now_s)
            except (DatabaseError, OSError, _NoRoomError) as error:
                self._lost += 1
                self._log(_words(error))
                return False
        with self._news:
            self._number += 1
            self._arrivals.append(Arrival(self._number, event, medium.type))
        return True

    def open_medium(self, event: EventKey, kind: MediaKind) -> OpenMedium | None:
        """Return an event's clip or picture, open; None: there is none. Raises DatabaseError."""
        stored = self.store.find(event, kind)
        if stored is None or stored.type is None:
            return None
        try:
            descriptor = self.folder.open(stored.file)
        except OSError:
            return None
        n_bytes = os.fstat(descriptor).st_size
        if n_bytes != stored.bytes:  # a power cut took the end of it
            os.close(descriptor)
            return None
        return OpenMedium(descriptor, n_bytes, stored.type, stored.file.partition(".")[0])

    def media_of(self, events: Iterable[EventKey]) -> dict[EventKey, dict[MediaKind, StoredMedium]]:
        """Return what is kept of each event, if anything is. Raises DatabaseError."""
        return self.store.media_of(events)

    def arrivals(self, after: int = 0) -> list[Arrival]:
        """Return the newest arrivals with higher numbers, the oldest first."""
        with self._news:
            return [arrival for arrival in self._arrivals if arrival.number > after]

    def numbers(self) -> MediaNumbers:
        """Return what is counted; waits for the disk, so not in an event loop."""
        with self._lock:
            return MediaNumbers(self._files, self._used.total(), self._lost)

    def prune(self, now_s: float | None) -> int:
        """Remove some of what is too old or too much, and return how many; 0: done. Raises DatabaseError.

        `now_s`: None while the clock is not believed; then nothing is too old.
        """
        with self._lock:
            try:
                if self._generation != self._database.generation:
                    self._reconcile()
                rows = []
                if now_s is not None:
                    self.store.redate(int(now_s * 1000))
                    rows = self.store.older(int((now_s - self._keep_s) * 1000), _AT_ONCE)
                rows = rows or self._victims(self._used.total() - self._max_bytes)
                self._remove(rows)
            except OSError as error:
                self._log(_words(error))
                return 0
            return len(rows)

    def _put(self, event: EventKey, medium: Medium, plot: tuple[float, float] | None, now_s: float) -> None:
        n_bytes = _blocks(len(medium.content))
        if medium.device not in self._used and len(self._used) >= MAX_DEVICES:
            raise _NoRoomError(f"clips of over {MAX_DEVICES} devices are not kept")
        self._make_room(n_bytes)
        file = self.folder.put(medium.type.suffix, medium.content)
        try:
            stored = StoredMedium(file, len(medium.content), plot)
            self.store.add(event, medium.type.kind, stored, int(now_s * 1000))
        except BaseException:
            with suppress(OSError):
                self.folder.remove(file)
            raise
        self._used[medium.device] += n_bytes
        self._files += 1

    def _make_room(self, n_bytes: int) -> None:
        """Remove files until so many bytes are within the quota and the disk. Raises _NoRoomError."""
        used = self._used.total()
        on_disk = used + self.folder.free_bytes() - self._min_free_bytes
        most = min(self._max_bytes, on_disk)
        if n_bytes <= most < used + n_bytes:
            self._remove(self._victims(used + n_bytes - most + round(_SLACK * most)))
        if self._used.total() + n_bytes <= most:
            return
        if on_disk < self._max_bytes:
            least = f"{self._min_free_bytes / 1e6:g} MB"
            raise _NoRoomError(f"the disk of {self.folder.path} has not the {least} left that are for the history")
        raise _NoRoomError("there is no room for one within dashboard.clips_max_mb")

    def _victims(self, wanted: int) -> list[Row]:
        """Return what has to go for so many bytes, or a part of it: of the device that has the most, the oldest."""
        used = dict(self._used)
        waiting: dict[str, list[Row]] = {}  # by device, the oldest last
        victims: list[Row] = []
        while wanted > 0 and used and len(victims) < _AT_ONCE:
            device = max(used, key=used.__getitem__)
            if device not in waiting:
                waiting[device] = self.store.oldest(device, _AT_ONCE)[::-1]
            if not waiting[device]:
                del used[device]
                continue
            victims.append(waiting[device].pop())
            used[device] -= _blocks(victims[-1].bytes)
            wanted -= _blocks(victims[-1].bytes)
        return victims

    def _remove(self, rows: Sequence[Row]) -> None:
        """Remove rows, and then their files; one that the disk does not let go is removed at a later start."""
        if not rows:
            return
        self.store.delete(rows)
        for row in rows:
            self._used[row.device] -= _blocks(row.bytes)
            if self._used[row.device] <= 0:
                del self._used[row.device]
            with suppress(OSError):
                self.folder.remove(row.file)
        self._files -= len(rows)

    def _reconcile(self) -> None:
        """Make files and rows agree, and count them. Raises DatabaseError, OSError."""
        if not self.is_on and not self.folder.path.is_dir():
            self._generation = self._database.generation
            return
        self._database.open()
        generation = self._database.generation
        rows = self.store.rows()
        if rows and not self.folder.was_claimed:
            raise OSError(
                errno.ENOENT,
                f"is not where the {len(rows)} files are that came before: see that its disk is mounted, and "
                f"dashboard.clips_dir; to begin anew, make an empty file {LOCK} in it",
                str(self.folder.path),
            )
        self.folder.claim()
        found = dict(self.folder.files())
        gone = [row for row in rows if row.file not in found]
        for begin in range(0, len(gone), _AT_ONCE):
            self.store.delete(gone[begin : begin + _AT_ONCE])
        for name in found.keys() - {row.file for row in rows}:
            self.folder.remove(name)
        self._used = Counter()
        kept = [row for row in rows if row.file in found]
        for row in kept:
            self._used[row.device] += _blocks(row.bytes)
        self._files = len(kept)
        self._generation = generation

    def _log(self, words: str) -> None:
        if self._throttle.is_due(words, time.monotonic()):
            log.warning("clips: %s; %d are lost so far", words, self._lost)


class _NoRoomError(Exception):
    """A file cannot be kept; one line."""


def _blocks(n_bytes: int) -> int:
    return -(-n_bytes // _BLOCK) * _BLOCK


def _words(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.filename or 'the folder of clips'}: {error.strerror or error}"
    return str(error)
