"""Standard error whose writes never block, even if its reader hangs.

Owns: a pipe in place of standard output and error, whose near end never blocks, and the thread that copies the pipe to
the real standard error, which may block for ever (a log driver that hangs). What does not fit is dropped.
Does not know: what is written. Log lines go through `write`; libraries and the interpreter print to file descriptors 1
and 2, which are the same pipe.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import select
import struct
import sys
import termios
import threading
import time

log = logging.getLogger(__name__)

BUFFER_BYTES = 256 * 1024  # requested; the kernel may grant its default of 64 KiB
MAX_LINE_BYTES = 32 * 1024  # of one log line with its traceback
_PIECE_BYTES = 64 * 1024
_STEP_S = 0.01


class Stderr:
    """Takes the place of standard output and error of this process, until `close`."""

    def __init__(self) -> None:
        self.dropped = 0  # log lines that were dropped or truncated
        self._reported = 0  # those of them that were logged
        self._torn = False  # True if the last line in the pipe has no end
        self._lock = threading.Lock()
        self._copying = False
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, AttributeError):  # none, where the descriptor was closed
                stream.flush()
        self._real = [_copy(number) for number in (1, 2)]
        self._far, near = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(near, False)
        with contextlib.suppress(OSError):
            fcntl.fcntl(near, fcntl.F_SETPIPE_SZ, BUFFER_BYTES)
        for number in (1, 2):
            os.dup2(near, number)
        os.close(near)
        threading.Thread(target=self._copy_out, name="stderr", daemon=True).start()

    def fileno(self) -> int:
        """Return the descriptor of the real standard error."""
        return self._real[1]

    def write(self, text: str) -> None:
        """Write a log line without blocking: all of it, its beginning, or nothing."""
        data = text.encode(errors="backslashreplace")
        if len(data) > MAX_LINE_BYTES:
            data = data[:MAX_LINE_BYTES] + b" ... (cut)\n"
        with self._lock:
            if self._torn:
                data = b"\n" + data
            try:
                written = os.write(2, data)
            except OSError:
                written = 0
            if written < len(data):
                self.dropped += 1
                self._torn = self._torn if written == 0 else True
            else:
                self._torn = False

    def flush(self) -> None:
        """Do nothing: logging calls it after each line. `drain` waits."""

    def drain(self, timeout_s: float) -> bool:
        """Wait until everything is written to the real standard error; False if that takes longer than `timeout_s`."""
        deadline_s = time.monotonic() + timeout_s
        while self._copying or self._waiting_bytes():
            if time.monotonic() >= deadline_s:
                return False
            time.sleep(_STEP_S)
        return True

    def close(self) -> None:
        """Restore the real standard output and error, which may block; call `drain` first."""
        for number, real in zip((1, 2), self._real, strict=True):
            os.dup2(real, number)

    def reopened(self) -> int | None:
        """Return a descriptor of the real standard error whose writes never block; None for a socket, which has none.

        The interpreter writes to it as the process ends, when no thread copies the pipe.
        """
        try:
            return os.open(f"/proc/self/fd/{self._real[1]}", os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None

    def _waiting_bytes(self) -> int:
        return int(struct.unpack("i", fcntl.ioctl(self._far, termios.FIONREAD, bytes(4)))[0])

    def _copy_out(self) -> None:
        ready = select.poll()
        ready.register(self._far, select.POLLIN)
        while True:
            ready.poll()
            self._copying = True  # set before the bytes leave the pipe, so that `drain` counts them in either place
            data = os.read(self._far, _PIECE_BYTES)
            if not data:  # closed
                for number in (self._far, *self._real):
                    os.close(number)
                return
            self._write_out(data)
            if (count := self.dropped - self._reported) and self._waiting_bytes() < BUFFER_BYTES // 8:
                self._reported += count
                log.warning("%d log lines were dropped or cut, for standard error took no more", count)
            self._copying = False

    def _write_out(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._real[1], rest) :]
            except BlockingIOError:  # another process that shares it made it non-blocking
                room = select.poll()
                room.register(self._real[1], select.POLLOUT)
                room.poll()
            except OSError:  # its reader is gone
                self.dropped += data.count(b"\n")
                self._reported = self.dropped
                return


def _copy(number: int) -> int:
    """Return a copy of a descriptor above the standard ones; of /dev/null, if it is closed."""
    try:
        return fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 3)
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)  # so that no other file gets its number
        return fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 3)
