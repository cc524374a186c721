"""A bar on standard error while a recording is read.

Owns: when it is drawn: where standard error is a terminal, and nothing on that terminal grows by itself.
Does not know: what is done with the recording.
"""

from __future__ import annotations

import sys
import time
from typing import Self

from edgeaudio.console import knows_unicode, progress_line
from edgeaudio.terminal import on_terminal, redraw, width_of

EVERY_S = 0.2
WIDTH = 72


class Progress:
    """The bar, in a `with` block around the reading. `table_grows`: standard output shows how far it is."""

    def __init__(self, *, table_grows: bool) -> None:
        self._wanted = on_terminal(sys.stderr) and not (table_grows and on_terminal(sys.stdout))
        self._width = min(WIDTH, (width_of(sys.stderr) or WIDTH) - 1)  # in the last column a terminal may wrap
        self._unicode = knows_unicode(sys.stderr)
        self._begin_s = self._shown_s = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def show(self, done_s: float, total_s: float | None) -> None:
        """Draw how much is done, unless that was done a moment ago."""
        now_s = time.monotonic()
        if not self._wanted or total_s is None or now_s - self._shown_s < EVERY_S:
            return
        self._shown_s = now_s
        line = progress_line(done_s, total_s, now_s - self._begin_s, self._width, unicode=self._unicode)
        redraw(f"{line:<{self._width}}")

    def __exit__(self, *_: object) -> None:
        if self._shown_s > self._begin_s:
            redraw(" " * self._width)
            redraw("")
