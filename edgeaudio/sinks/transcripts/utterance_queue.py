"""Utterances that wait for the recogniser: files in a folder, the oldest first.

Owns: the files, their bounds in bytes and age, what gives way, and what is counted and logged of that.
Does not know: recognisers, when an utterance is tried (turns.py), the layout of a file (utterance_file.py),
what else is in the folder (utterance_folder.py).

A file is complete when it has its name, so `kill -9` leaves no half of one. It is synced to the disk while the
recogniser has it already; a power cut in between leaves a file that is not whole, which is removed. The sound of voices
is for this user alone.

The oldest give way: beyond the bytes, when the disk has too little room left for the outbox, and with age. Age is
measured by the monotonic clock for what this process queued, so that no step of the system clock ages it.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Final

from edgeaudio.files import read_regular
from edgeaudio.sinks.transcripts import utterance_folder
from edgeaudio.sinks.transcripts.errors import TranscriptsError
from edgeaudio.sinks.transcripts.utterance_file import (
    MAX_BYTES,
    QueuedUtterance,
    UtteranceFileError,
    UtteranceName,
    decode_utterance,
    encode_utterance,
)
from edgeaudio.throttled_log import LogThrottle
from edgeaudio.types import Utterance

log = logging.getLogger(__name__)

MB: Final = 1_000_000
_FOR_NOW: Final = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO}  # not, or not surely, the file's fault
MIN_FREE_BYTES: Final = 32 * MB  # of the disk, which the outbox needs too


@dataclass(slots=True)
class _Waiting:
    name: UtteranceName
    bytes: int
    since_s: float  # monotonic, of queueing; not before an older one


class UtteranceQueue:
    """The queue of one agent. Any method may be called from any thread; one thread puts, one takes."""

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int,
        max_age_s: float,
        min_free_bytes: int = MIN_FREE_BYTES,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._min_free_bytes = min_free_bytes
        self._now = now
        self._monotonic = monotonic
        self._changed = threading.Condition()
        self._waiting: OrderedDict[str, _Waiting] = OrderedDict()  # by id, the oldest first
        self._bytes = 0
        self._number = 0  # of the newest file
        self._taken: str | None = None  # id of the one that the recogniser has
        self._version = 0  # counts changes, for `wait`
        self._throttle = LogThrottle()
        self.dropped = 0  # by the bounds, or damaged, since the start

    def open(self, sources: Iterable[str]) -> None:
        """Make the folder if need be, and find what an earlier process left. Raises TranscriptsError.

        What is left of sources other than these is removed: they are not transcribed any more.
        """
        kept = frozenset(sources)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.suppress(OSError):  # FAT has no modes
                self._folder.chmod(0o700)
            found = utterance_folder.found(self._folder)
        except OSError as error:
            raise self._failed(error) from None
        ahead = set[str]()  # ids of what was queued later than now
        with self._changed:
            for name, n_bytes in found:
                self._number = max(self._number, name.number)
                if name.id not in self._waiting:
                    age_s = self._now() - name.queued_at
                    self._add(name, n_bytes, self._monotonic() - max(0.0, age_s))
                    if age_s < 0:
                        ahead.add(name.id)
            self._waiting = OrderedDict(sorted(self._waiting.items(), key=lambda item: item[1].name.number))
            # they were queued in this order, whatever the clock was: of one that was ahead nothing is known, and what
            # was queued by one that was behind (a board that has no time yet) is no older than what was before it
            since_s = self._monotonic()
            for waiting in reversed(self._waiting.values()):
                if waiting.name.id in ahead:
                    waiting.since_s = since_s
                since_s = waiting.since_s
            for waiting in self._waiting.values():
                since_s = waiting.since_s = max(since_s, waiting.since_s)
        self.keep_only(kept)
        self.expire()

    def put(self, utterance_id: str, utterance: Utterance) -> None:
        """Queue an utterance; one that waits already under that id stays. Raises TranscriptsError."""
        if utterance_id in self._waiting:
            return
        content = encode_utterance(utterance)
        name = UtteranceName(self._number + 1, max(0, int(self._now())), utterance_id, utterance.source)
        new = self._folder / f"{name}{utterance_folder.NEW}"
        try:
            self._make_room(len(content))
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                new.rename(self._folder / str(name))
                with self._changed:
                    self._number = name.number
                    self._add(name, len(content), self._monotonic())
                    self._notify()
                os.fsync(descriptor)
            utterance_folder.sync(self._folder)
        except OSError as error:
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)
            raise self._failed(error) from None

    def ids(self) -> list[str]:
        """Return the ids of what waits, the oldest first."""
        with self._changed:
            return list(self._waiting)

    def take(self, utterance_id: str) -> QueuedUtterance | None:
        """Return an utterance that waits; it does not give way until `remove`, `put_back` or the next `take`.

        None: it is gone, or was damaged, and is counted as dropped. Raises TranscriptsError if it cannot be read now.
        """
        with self._changed:
            waiting = self._waiting.get(utterance_id)
            self._taken = None if waiting is None else utterance_id
        if waiting is None:
            return None
        try:
            return decode_utterance(waiting.name, read_regular(self._folder / str(waiting.name), MAX_BYTES))
        except (OSError, UtteranceFileError) as error:
            why = error.strerror or str(error) if isinstance(error, OSError) else str(error)
            self.put_back(utterance_id)
            if isinstance(error, OSError) and error.errno in _FOR_NOW:
                raise TranscriptsError(f"an utterance in {self._folder} cannot be read: {why}") from None
            with self._changed:
                gone = [waiting] if self._waiting.get(utterance_id) is waiting else []
                for each in gone:
                    self._forget(each)
            self._drop(gone, f"a file cannot be used: {why}")
            return None

    def put_back(self, utterance_id: str) -> None:
        """Have an utterance that was not recognised wait again, and give way like the others."""
        with self._changed:
            if self._taken == utterance_id:
                self._taken = None

    def holds(self, utterance_id: str) -> bool:
        """True if an utterance waits, or is being recognised."""
        with self._changed:
            return utterance_id in self._waiting

    def remove(self, utterance_id: str) -> bool:
        """Remove an utterance that was recognised; True if it is certain that its file will not come back."""
        with self._changed:
            if self._taken == utterance_id:
                self._taken = None
            waiting = self._waiting.get(utterance_id)
            if waiting is None:
                return True
            self._forget(waiting)
        try:
            (self._folder / str(waiting.name)).unlink(missing_ok=True)
        except OSError:
            return False
        return utterance_folder.sync(self._folder)

    def keep_only(self, sources: Iterable[str]) -> None:
        """Remove what waits of other sources: they are not transcribed any more."""
        kept = frozenset(sources)
        with self._changed:
            gone = [waiting for waiting in self._waiting.values() if waiting.name.source not in kept]
            for waiting in gone:
                self._forget(waiting)
        self._unlink(gone)
        if gone:
            log.info("%d utterances of sources that are not transcribed any more are removed", len(gone))

    def expire(self) -> None:
        """Drop what is too old; call it now and then."""
        with self._changed:
            limit_s = self._monotonic() - self._max_age_s
            # of thousands that wait only the first are looked at: this is called for every Block
            old = list(takewhile(lambda waiting: waiting.since_s < limit_s, self._untaken()))
            for waiting in old:
                self._forget(waiting)
        self._drop(old, f"they waited for more than {self._max_age_s / 3600:g} h")

    @property
    def version(self) -> int:
        """Counts what was queued, and calls of `wake`."""
        return self._version

    def wait(self, seen: int, timeout_s: float) -> None:
        """Wait until `version` is not `seen`, at most that long."""
        with self._changed:
            self._changed.wait_for(lambda: self._version != seen, timeout_s)

    def wake(self) -> None:
        """Have `wait` return at once."""
        with self._changed:
            self._notify()

    def state(self) -> tuple[int, int, float | None]:
        """Return how many wait, their bytes, and the age of the oldest in seconds (None: none waits)."""
        with self._changed:
            first = next(iter(self._waiting.values()), None)
            return len(self._waiting), self._bytes, None if first is None else self._monotonic() - first.since_s

    def _make_room(self, n_bytes: int) -> None:
        """Drop the oldest until there is room. Raises OSError, TranscriptsError."""
        with self._changed:
            out, _ = self._oldest(self._bytes + n_bytes - self._max_bytes)
            for oldest in out:
                self._forget(oldest)
        self._drop(out, f"more than {self._max_bytes / MB:g} MB wait")
        while (free := utterance_folder.free_bytes(self._folder)) - n_bytes < self._min_free_bytes:
            with self._changed:
                out, is_enough = self._oldest(self._min_free_bytes + n_bytes - free)
                for oldest in out if is_enough else ():
                    self._forget(oldest)
            self._drop(out if is_enough else (), "the disk is full")
            if not is_enough:  # what waits is not what fills the disk
                raise TranscriptsError(
                    f"utterances cannot be kept in {self._folder}: the disk has {free / MB:.0f} MB left, and "
                    f"{self._min_free_bytes / MB:g} stay free for the outbox; remove something"
                )

    def _drop(self, out: Iterable[_Waiting], why: str) -> None:
        """Remove the files of what was forgotten, count that, and log it now and then."""
        count = self._unlink(out)
        self.dropped += count
        if count and self._throttle.is_due(why, self._monotonic()):
            log.warning("utterances that waited for the recogniser are dropped, %d so far: %s", self.dropped, why)

    def _unlink(self, out: Iterable[_Waiting]) -> int:
        count = 0
        for waiting in out:
            count += 1
            with contextlib.suppress(OSError):  # it is found again at the next start
                (self._folder / str(waiting.name)).unlink(missing_ok=True)
        return count

    def _failed(self, error: OSError) -> TranscriptsError:
        return TranscriptsError(f"utterances cannot be kept in {self._folder}: {error.strerror or error}")

    # --- called under the lock ---

    def _add(self, name: UtteranceName, n_bytes: int, since_s: float) -> None:
        self._waiting[name.id] = _Waiting(name, n_bytes, since_s)
        self._bytes += n_bytes

    def _forget(self, waiting: _Waiting) -> None:
        del self._waiting[waiting.name.id]
        self._bytes -= waiting.bytes

    def _untaken(self) -> Iterator[_Waiting]:
        """Yield what the recogniser does not have, the oldest first."""
        return (waiting for waiting in self._waiting.values() if waiting.name.id != self._taken)

    def _oldest(self, n_bytes: int) -> tuple[list[_Waiting], bool]:
        """Return the oldest that have so many bytes together; False: all that may give way have less."""
        out: list[_Waiting] = []
        for waiting in self._untaken():
            if n_bytes <= 0:
                break
            n_bytes -= waiting.bytes
            out.append(waiting)
        return out, n_bytes <= 0

    def _notify(self) -> None:
        self._version += 1
        self._changed.notify_all()
