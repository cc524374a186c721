"""Time limits and stop events for blocking calls of FFmpeg.

Owns: the access to FFmpeg's interrupt callback, and the event that ends one connection.
Does not know: what is opened or read.

PyAV gives FFmpeg an interrupt callback, which FFmpeg polls about ten times a second while it waits. PyAV offers two
limits through it: one that applies twice to an open, and one to each low-level read. With these alone, a camera whose
video flows while its audio is dead, or a server that sends a byte now and then, would be read without end, and nothing
could end a call from outside. The callback calls `time.monotonic()`, looked up in PyAV's own module at each poll. This
module puts a clock there that stands still until the calling thread's Deadline has expired, and then returns a time
beyond every limit. If a future PyAV does not look there, its own coarser limits (which are passed as well) still hold,
and a test fails.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from typing import Self

import av.container.core

from edgeaudio.capture import ffmpeg_log

_current = threading.local()
# increasing, so that a call begun after the deadline expired sees time pass its limit as well
_leaps = itertools.count(1)
_LEAP_S = 1e6  # beyond any limit
# least time between two looks: FFmpeg also polls before each read of a few bytes, hundreds of times a second
_POLL_S = 0.02
_NOTICE_S = 0.25


class Deadline:
    """Limits the FFmpeg calls that this thread makes inside `with deadline:`.

    `limit(seconds)` begins a new limit from now; `expired` says that it was reached, and then
    every call ends, as it does once `stop` is set. A deadline serves one thread at a time.

    `on_wait` is called in that thread, about ten times a second while FFmpeg waits. What it raises
    ends the call, and is raised again when the deadline is left.
    """

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._end_s = float("inf")
        self.expired = False
        self.still_s = (
            time.monotonic()
        )  # PyAV's time until a limit is reached: by the real time its own limits come first
        self.on_wait: Callable[[], None] | None = None
        self._failure: BaseException | None = None
        self.next_poll_s = 0.0  # polls before it are answered without a look

    def limit(self, seconds: float) -> None:
        self.expired = False
        self._end_s = time.monotonic() + seconds

    def must_end(self) -> bool:
        if time.monotonic() > self._end_s:
            self.expired = True
        return self.expired or self._failure is not None or self._stop.is_set()

    def poll(self) -> bool:
        """True if the present call must end; called by FFmpeg, inside a call."""
        self.next_poll_s = time.monotonic() + _POLL_S
        ffmpeg_log.drop_excess()
        if self.on_wait is not None and self._failure is None:
            try:
                self.on_wait()
            except BaseException as error:  # noqa: BLE001 (cannot pass through FFmpeg; raised again after the call)
                self._failure = error
        if not self.must_end():
            return False
        self.next_poll_s = 0.0  # once a call must end, every poll ends it
        return True

    def __enter__(self) -> Self:
        _install()
        _current.deadline = self
        return self

    def __exit__(self, *_: object) -> None:
        _current.deadline = None
        if self._failure is not None:
            raise self._failure


class ConnectionStop(threading.Event):
    """Stop event of one connection: set when the source stops, or by `end` when the connection alone must end.

    Passed wherever a connection takes a stop event, so that every wait ends, in FFmpeg or in Python.
    """

    def __init__(self, stop: threading.Event) -> None:
        super().__init__()
        self.error: Exception | None = None  # passed to `end`
        self.long_wait = False  # before the source is tried again
        self._source_stop = stop

    def end(self, error: Exception, *, long_wait: bool = False) -> None:
        """End the connection soon; the first error counts. May be called from any thread."""
        if self.error is None:
            self.error, self.long_wait = error, long_wait
        self.set()

    def is_set(self) -> bool:
        return super().is_set() or self._source_stop.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait as for any event; `end` is noticed within 0.25 s."""
        until_s = float("inf") if timeout is None else time.monotonic() + timeout
        while not self.is_set() and (left_s := until_s - time.monotonic()) > 0:
            self._source_stop.wait(min(left_s, _NOTICE_S))
        return self.is_set()


class _DeadlineClock:
    """Stand-in for the `time` module in PyAV's core."""

    def __getattr__(self, name: str) -> object:
        return getattr(time, name)

    @staticmethod
    def monotonic() -> float:
        deadline: Deadline | None = getattr(_current, "deadline", None)
        now_s = time.monotonic()
        if deadline is None:
            return now_s
        if now_s < deadline.next_poll_s:
            return deadline.still_s
        return now_s + _LEAP_S * next(_leaps) if deadline.poll() else deadline.still_s


_clock = _DeadlineClock()


def _install() -> None:
    core = vars(av.container.core)
    if core.get("time") is time:
        core["time"] = _clock
