"""Ends FFmpeg's blocking calls when a limit is reached or a stop is asked.

Owns: the one seam through which Python reaches FFmpeg's interrupt callback.
Does not know: what is being opened or read.

PyAV gives FFmpeg an interrupt callback that FFmpeg polls about ten times a second wherever it
waits, but offers only two limits through it: one that applies twice to an open, and one to each
low-level read, so that a camera whose video flows while its audio is dead, or a server that drips
a byte now and then, is never given up; and nothing at all ends a call early from outside. The
callback asks `time.monotonic()`, looked up in PyAV's own module at each poll. There we put a clock
that tells the truth until the calling thread's Guard has run out, and from then on a time beyond
every limit. Should a future PyAV no longer look there, its own limits (which are passed as well)
still hold, only coarser; a test fails then.
"""

from __future__ import annotations

import itertools
import threading
import time
from types import TracebackType
from typing import Self

import av.container.core

_current = threading.local()
# ever larger, so that a call begun after the guard ran out still sees time leap past its limit
_leaps = itertools.count(1)
_LEAP_S = 1e6  # beyond any limit


class Guard:
    """Limits the FFmpeg calls that this thread makes inside `with guard:`.

    `limit(seconds)` begins a new limit from now; `expired` says that it was reached, and then
    every call ends, as it does once `stop` is set. A guard serves one thread at a time.
    """

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._deadline = float("inf")
        self.expired = False

    def limit(self, seconds: float) -> None:
        self.expired = False
        self._deadline = time.monotonic() + seconds

    def must_end(self) -> bool:
        if time.monotonic() > self._deadline:
            self.expired = True
        return self.expired or self._stop.is_set()

    def __enter__(self) -> Self:
        _install()
        _current.guard = self
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _current.guard = None


class _Clock:
    """Stands where PyAV's core expects the `time` module."""

    def __getattr__(self, name: str) -> object:
        return getattr(time, name)

    @staticmethod
    def monotonic() -> float:
        guard: Guard | None = getattr(_current, "guard", None)
        if guard is not None and guard.must_end():
            return time.monotonic() + _LEAP_S * next(_leaps)
        return time.monotonic()


_clock = _Clock()


def _install() -> None:
    core = vars(av.container.core)
    if core.get("time") is time:
        core["time"] = _clock
