"""Watchdog over the agent: a thread without progress ends the process, and systemd is notified while all make progress.

Owns: the verdict, the stacks of a process that crashes, systemd's notification protocol.
Does not know: what the parts do, or where files are kept.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import socket
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from edgeaudio.stderr import Stderr

log = logging.getLogger(__name__)

EXIT_STATUS = 1
LAST_LINES_S = 1.0  # for the last log lines to be read from standard error
MAX_STACKS_BYTES = 64 * 1024  # logged of an earlier process
FATAL = "Fatal Python error: "  # the interpreter's heading of the stacks, when a signal ends the process


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the agent that has to keep moving."""

    name: str
    last_moved_s: float  # `time.monotonic`
    stall_timeout_s: float  # longest time between two moves in normal operation
    source: str | None = None  # whose reader it is

    def __str__(self) -> str:
        return f"{self.name} has made no progress for {self.stall_timeout_s:.0f} s"


def stuck_part(parts: Iterable[Part], now_s: float) -> Part | None:
    """Return a part that has stalled; None: all threads make progress."""
    return next((part for part in parts if now_s - part.last_moved_s > part.stall_timeout_s), None)


class Stacks:
    """Stacks of all threads when the process crashed, in a file that the next process logs.

    The interpreter writes them in C, when a signal such as SIGSEGV ends the process and when the main thread stalls. A
    write to standard error could block then.
    """

    def __init__(self, path: Path | None, *, in_memory: bool, stderr: Stderr | None) -> None:
        """`path`: None: no file. `in_memory`: the file is not on a disk, which may hang."""
        self._stderr = stderr
        self._path = path
        self._file: BinaryIO | None = None
        self.earlier = ""  # stacks of the process before
        self.earlier_at: datetime | None = None  # time of those stacks
        if path is not None:
            try:
                self._file = path.open("a+b", buffering=0)
                self._file.seek(0)
                self.earlier = self._file.read(MAX_STACKS_BYTES).decode(errors="replace")
                if self.earlier:
                    self.earlier_at = datetime.fromtimestamp(os.fstat(self._file.fileno()).st_mtime, UTC)
                self._file.truncate(0)
            except OSError as error:
                log.warning("no stacks will be kept in %s: %s", path, error.strerror)
        reopened = None if stderr is None or (in_memory and self._file) else stderr.reopened()
        if in_memory and self._file is not None:
            self._watch: int | None = self._file.fileno()
        else:
            self._watch = reopened if reopened is not None else _open(2)
        if self.earlier:
            log.error("the agent crashed or was ended; the stacks of its threads were:\n%s", self.earlier.rstrip())
        if self._file is not None:
            faulthandler.enable(self._file, all_threads=True)

    def watch_main_thread(self, stall_timeout_s: float) -> None:
        """End the process, with stacks, unless this or `close` is called within that time.

        The main thread watches all others, and may itself wait for one of them (for the outbox while the disk hangs).
        The interpreter keeps this watch in C, so that no Python code can delay it.
        """
        if self._watch is not None:
            faulthandler.dump_traceback_later(stall_timeout_s, exit=True, file=self._watch)

    def abort(self, part: Part) -> None:
        """End the process, with the stacks of all threads in the log. The service manager starts it again.

        Python's own shutdown would wait for the stalled thread.
        """
        self.watch_main_thread(2 * LAST_LINES_S)  # in case this hangs
        memory = os.memfd_create("stacks")
        faulthandler.dump_traceback(file=memory, all_threads=True)
        stacks = os.pread(memory, MAX_STACKS_BYTES, 0)
        log.critical(
            "%s; the agent ends so that it is started again; its threads stand here:\n%s",
            part,
            stacks.decode(errors="replace").rstrip(),
        )
        if self._stderr is not None and not self._stderr.drain(LAST_LINES_S) and self._file is not None:
            self._file.write(f"{part}\n".encode() + stacks)
        os._exit(EXIT_STATUS)

    def close(self) -> None:
        """End the watch and remove the file: the process ends in good order."""
        faulthandler.cancel_dump_traceback_later()
        if self._file is not None and self._path is not None:
            faulthandler.disable()
            self._file.close()
            with contextlib.suppress(OSError):
                self._path.unlink()


def _open(number: int) -> int | None:
    """Return the descriptor, if it is open."""
    try:
        os.fstat(number)
    except OSError:
        return None
    return number


class ServiceManager:
    """Notifications to systemd (`Type=notify`); none without a NOTIFY_SOCKET."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        # systemd writes the zero byte of an abstract name as @
        self._address = "\0" + address[1:] if address.startswith("@") else address
        limit_us = environ.get("WATCHDOG_USEC", "")
        self._interval_s = int(limit_us) / 2e6 if limit_us.isdigit() else None
        self._last_s = 0.0

    def notify(self, state: str) -> None:
        """Send `READY=1`, `STOPPING=1`, `STATUS=...` and the like."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as connection:
                connection.settimeout(1.0)
                connection.sendto(state.encode(), self._address)
        except OSError as error:
            log.warning("cannot notify the service manager: %s", error.strerror)

    def alive(self) -> None:
        """Notify that all threads make progress, as often as systemd asked for; call it more often than that."""
        now_s = time.monotonic()
        if self._interval_s is not None and now_s - self._last_s >= self._interval_s:
            self._last_s = now_s
            self.notify("WATCHDOG=1")
