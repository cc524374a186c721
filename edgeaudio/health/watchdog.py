"""Notices that a part of the agent has stopped moving, and tells systemd while all of them move.

Owns: the verdict, the stacks of an agent that ends in disorder, systemd's notification protocol.
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
LAST_LINES_S = 1.0  # for the log of a process that gives up to be read
MAX_STACKS_BYTES = 64 * 1024  # that are logged of an earlier process
FATAL = "Fatal Python error: "  # how the interpreter heads the stacks of a process that is ended by a signal


@dataclass(frozen=True, slots=True)
class Part:
    """Something that has to keep moving."""

    name: str
    last_moved_s: float  # `time.monotonic`
    stall_timeout_s: float  # the longest that it may take when all is well
    source: str | None = None  # that it reads, if it is a reader

    def __str__(self) -> str:
        return f"{self.name} has not moved for {self.stall_timeout_s:.0f} s"


def stuck_part(parts: Iterable[Part], now_s: float) -> Part | None:
    """A part that last moved too long ago, if there is one."""
    return next((part for part in parts if now_s - part.last_moved_s > part.stall_timeout_s), None)


class Stacks:
    """Where each thread stood when the process ended in disorder: kept in a file, which the next one logs.

    The interpreter writes them itself, in C: when a signal such as SIGSEGV ends the process, and when the main thread
    stands still. Nobody may have read standard error by then, and a write to it might never return.
    """

    def __init__(self, path: Path | None, *, in_memory: bool, stderr: Stderr | None) -> None:
        """`path`: None where no file can be kept. `in_memory`: writing to it waits for no disk, which may hang."""
        self._stderr = stderr
        self._path = path
        self._file: BinaryIO | None = None
        self.earlier = ""  # of the process before
        self.earlier_at: datetime | None = None  # when they were written
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
            log.error("the agent ended in disorder; its threads stood here:\n%s", self.earlier.rstrip())
        if self._file is not None:
            faulthandler.enable(self._file, all_threads=True)

    def watch_main_thread(self, stall_timeout_s: float) -> None:
        """End the process with a report unless this, or `close`, is called within that time.

        For the thread that watches all others: it may wait for one of them (for the outbox while the disk hangs, say).
        The watch is kept by the interpreter in C, so that nothing in Python can hold it up.
        """
        if self._watch is not None:
            faulthandler.dump_traceback_later(stall_timeout_s, exit=True, file=self._watch)

    def abort(self, part: Part) -> None:
        """End the process with a report of where each thread stands. The service manager starts it again.

        Python's own shutdown would wait for the thread that is stuck.
        """
        self.watch_main_thread(2 * LAST_LINES_S)  # whatever hangs here
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
        """End the watch, and leave no file behind: the process ends in good order."""
        faulthandler.cancel_dump_traceback_later()
        if self._file is not None and self._path is not None:
            faulthandler.disable()
            self._file.close()
            with contextlib.suppress(OSError):
                self._path.unlink()


def _open(number: int) -> int | None:
    """The descriptor, if it is open."""
    try:
        os.fstat(number)
    except OSError:
        return None
    return number


class ServiceManager:
    """systemd's side of `Type=notify`; silent where there is none."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        # a leading @ is systemd's way to write the zero byte of Linux's abstract names
        self._address = "\0" + address[1:] if address.startswith("@") else address
        limit_us = environ.get("WATCHDOG_USEC", "")
        self._interval_s = int(limit_us) / 2e6 if limit_us.isdigit() else None
        self._last_s = 0.0

    def say(self, state: str) -> None:
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
        """Tell that all parts move; call it often, it is sent as often as systemd asked for."""
        now_s = time.monotonic()
        if self._interval_s is not None and now_s - self._last_s >= self._interval_s:
            self._last_s = now_s
            self.say("WATCHDOG=1")
