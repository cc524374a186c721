"""What FFmpeg logs during one call, as evidence: the error that it returns is often "input/output error" and no more.

Owns: the one switch on FFmpeg's log, and keeping it from everywhere else: its lines hold addresses with their logins.
Does not know: what a line means. Lines are matched here and never passed on.

PyAV hands errors alone over (level ERROR), in the thread that FFmpeg logs in, which then takes the GIL. All of PyAV's
calls that wait for FFmpeg's own threads give the GIL away, so that cannot deadlock.
"""

from __future__ import annotations

import functools
import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import av.logging

_MAX_LINES = 200  # the first that a call logs tell most

_current = threading.local()


@dataclass(frozen=True, slots=True)
class FfmpegLog:
    """The errors that FFmpeg logged. Not to be shown: only searched."""

    _lines: list[tuple[int, str, str]] = field(default_factory=list, repr=False)

    @property
    def is_empty(self) -> bool:
        """True if nothing was logged so far; may be asked in the midst of the calls."""
        return not self._lines

    def search(self, pattern: str) -> re.Match[str] | None:
        """The first line's match of `pattern`, whose groups must not be able to hold a login."""
        found = (re.search(pattern, text) for _, _, text in self._lines[:_MAX_LINES])
        return next((match for match in found if match), None)


@contextmanager
def recorded() -> Iterator[FfmpegLog]:
    """Give the log of the FFmpeg calls that this thread makes in the block."""
    _switch_on()
    with av.logging.Capture() as lines:
        _current.lines = lines
        try:
            yield FfmpegLog(lines)
        finally:
            _current.lines = []


def drop_excess() -> None:
    """Drop what this thread's call logged beyond the first lines: PyAV keeps all, and a server can cause any number.

    To be called from inside the call, whenever FFmpeg gives the chance.
    """
    del getattr(_current, "lines", [])[_MAX_LINES:]


@functools.cache
def _switch_on() -> None:
    # what other threads of FFmpeg log goes to loggers of this name, and would from there to everybody's handlers
    logging.getLogger("libav").setLevel(logging.CRITICAL + 1)
    # a line that is left out as a repetition may be the first of another source
    av.logging.set_skip_repeated(False)
    av.logging.set_level(av.logging.ERROR)
