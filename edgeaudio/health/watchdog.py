"""Notices that a part of the agent has stopped moving, and tells systemd while all of them move.

Owns: the verdict, the last words, systemd's notification protocol.
Does not know: what the parts do.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import socket
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

log = logging.getLogger(__name__)

EXIT_STATUS = 1


@dataclass(frozen=True, slots=True)
class Part:
    """Something that has to keep moving."""

    name: str
    last_moved_s: float  # `time.monotonic`
    patience_s: float  # the longest that it may take when all is well


def stuck_part(parts: Iterable[Part], now_s: float) -> Part | None:
    """A part that last moved too long ago, if there is one."""
    return next((part for part in parts if now_s - part.last_moved_s > part.patience_s), None)


def give_up(part: Part) -> None:
    """End the process with a report of where each thread stands. The service manager starts it again.

    Python's own shutdown would wait for the thread that is stuck.
    """
    log.critical("%s has not moved for %.0f s; the agent ends so that it is started again", part.name, part.patience_s)
    faulthandler.dump_traceback(file=sys.stderr, all_threads=True)
    logging.shutdown()
    os._exit(EXIT_STATUS)


def watch_over_me(patience_s: float) -> None:
    """End the process with a report unless this, or `watch_no_more`, is called within that time.

    For the thread that watches all others: it may wait for one of them (for the outbox while the disk hangs, say).
    The watch is kept by the interpreter in C, so that nothing in Python can hold it up.
    """
    if sys.__stderr__ is not None:
        faulthandler.dump_traceback_later(patience_s, exit=True, file=sys.__stderr__)


def watch_no_more() -> None:
    """End the watch."""
    faulthandler.cancel_dump_traceback_later()


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
