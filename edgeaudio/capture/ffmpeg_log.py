"""Capture of FFmpeg's log during one call: the error that it returns is often only "input/output error".

Owns: the switch on FFmpeg's log, and keeping its lines, which hold addresses with logins, from every other handler.
Does not know: what a line means. Lines are searched here and never passed on.

Only errors are captured (level ERROR), in the thread that logs, which takes the GIL for it. This cannot deadlock: all
of PyAV's calls that wait for FFmpeg's own threads release the GIL.
"""

from __future__ import annotations

import functools
import logging
import re
import threading
from dataclasses import dataclass, field

import av.logging

_MAX_LINES = 200  # the first lines of a call say most

_current = threading.local()


@dataclass(frozen=True, slots=True)
class FfmpegLog:
    """Errors that FFmpeg logged. May be searched, but never shown."""

    _lines: list[tuple[int, str, str]] = field(default_factory=list, repr=False)

    @property
    def is_empty(self) -> bool:
        """True if nothing was logged so far. May be read during the calls."""
        return not self._lines

    def clear(self) -> None:
        """Forget what was logged so far."""
        self._lines.clear()

    def search(self, pattern: str) -> re.Match[str] | None:
        """Return the first match of `pattern`, whose groups must not be able to hold a login."""
        found = (re.search(pattern, text) for _, _, text in self._lines[:_MAX_LINES])
        return next((match for match in found if match), None)


class recorded:  # noqa: N801 (reads as a function at each call; a class is entered faster, once for each packet)
    """Context whose value is the log of the FFmpeg calls that this thread makes in the block."""

    __slots__ = ("_capture",)

    def __enter__(self) -> FfmpegLog:
        _switch_on()
        self._capture = av.logging.Capture()
        _current.lines = lines = self._capture.__enter__()
        return FfmpegLog(lines)

    def __exit__(self, *_: object) -> None:
        _current.lines = []
        self._capture.__exit__(None, None, None)


def drop_excess() -> None:
    """Drop what this thread's call logged beyond the first lines: PyAV keeps all, and a server can cause any number.

    To be called from inside the call, whenever FFmpeg gives the chance.
    """
    del getattr(_current, "lines", [])[_MAX_LINES:]


@functools.cache
def _switch_on() -> None:
    # lines of FFmpeg's other threads go to loggers of this name, and from there to all handlers
    logging.getLogger("libav").setLevel(logging.CRITICAL + 1)
    # a line dropped as a repetition may be the first of another source
    av.logging.set_skip_repeated(False)
    av.logging.set_level(av.logging.ERROR)
