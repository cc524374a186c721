"""A file that is written behind its writer's back, so that a disk that is slow for a moment holds up nothing.

Owns: the thread that writes, how much may wait for it, and after how long a disk that takes nothing has failed.
Does not know: what is written.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

BUFFER_BYTES: Final = 8 << 20
STALLED_S: Final = 30.0


class StalledDiskError(OSError):
    """The disk took nothing for too long."""

    def __init__(self, stalled_s: float) -> None:
        super().__init__(errno.ETIMEDOUT, f"the disk has taken nothing for {stalled_s:g} s")


def open_new(path: Path, *, overwrite: bool) -> int:
    """Return a descriptor of an empty regular file. Raises OSError, FileExistsError if it is there."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK | (0 if overwrite else os.O_EXCL)
    descriptor = os.open(path, flags, 0o644)
    try:
        _require_regular(descriptor)
        os.ftruncate(descriptor, 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _require_regular(descriptor: int) -> None:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise OSError(errno.EINVAL, "it is no regular file")


class DiskFile:
    """A regular file, for FFmpeg to write to. Used by one thread, besides its own.

    Writes raise OSError once the disk has failed, or taken nothing for `stalled_s` while the buffer was full.
    """

    def __init__(self, descriptor: int, *, buffer_bytes: int = BUFFER_BYTES, stalled_s: float = STALLED_S) -> None:
        self.error: OSError | None = None
        self._descriptor = descriptor
        self._buffer_bytes, self._stalled_s = buffer_bytes, stalled_s
        self._position = self._end = 0
        self._waiting: deque[tuple[int, bytes]] = deque()  # where, and what; the first is being written
        self._waiting_bytes = 0
        self._written = 0  # pieces
        self._closing = self._is_closed = False
        self._changed = threading.Condition()
        # a daemon: it may be held up in the disk for ever
        self._thread = threading.Thread(target=self._write_out, name="film-disk", daemon=True)
        self._thread.start()

    def write(self, data: bytes) -> int:
        """Have the bytes written at the position, soon."""
        with self._changed:
            self._wait(lambda: self._waiting_bytes < self._buffer_bytes)
            self._waiting.append((self._position, bytes(data)))
            self._waiting_bytes += len(data)
            self._changed.notify_all()
        self._position += len(data)
        self._end = max(self._end, self._position)
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move the position, as of any file."""
        self._position = offset + (0, self._position, self._end)[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def close(self) -> int:
        """Wait until the disk holds everything, close the file, and return its bytes. Raises OSError."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            self._wait(lambda: self._is_closed)
        return self._end

    def abandon(self) -> None:
        """Have the file closed as soon as the disk lets go of it. Never raises."""
        with self._changed:
            self._closing = True
            self._waiting.clear()
            self._changed.notify_all()

    def _wait(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition, as long as the disk takes something. Raises OSError."""
        while self.error is None and not condition():
            written = self._written
            if not self._changed.wait(self._stalled_s) and self._written == written:
                self.error = StalledDiskError(self._stalled_s)
        if self.error is not None:
            raise self.error

    def _write_out(self) -> None:
        """Write what waits until the file is closed; the thread's only function."""
        while self._write_next():
            pass
        try:
            if self.error is None:
                os.fsync(self._descriptor)
        except OSError as error:
            self.error = error
        with suppress(OSError):
            os.close(self._descriptor)
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _write_next(self) -> bool:
        """Write the piece that has waited longest; False if none will come."""
        with self._changed:
            while not self._waiting and not self._closing:
                self._changed.wait()
            if not self._waiting:
                return False
            position, data = self._waiting[0]
        failure = None
        try:
            view = memoryview(data)
            while view:
                done = os.pwrite(self._descriptor, view, position)
                position, view = position + done, view[done:]
        except OSError as error:
            failure = error
        with self._changed:
            if self._waiting:  # else it was abandoned
                self._waiting.popleft()
            self._waiting_bytes -= len(data)
            self._written += 1
            self.error = self.error or failure
            self._changed.notify_all()
        return self.error is None
