"""A progress bar on standard error while a recording is read.

It is drawn if standard error is a terminal, unless standard output prints a growing table on the same terminal.
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
    """The bar; use it in a `with` block around the reading. table_grows: standard output shows the progress itself."""

    def __init__(self, *, table_grows: bool) -> None:
        self._wanted = on_terminal(sys.stderr) and not (table_grows and on_terminal(sys.stdout))
        self._width = min(WIDTH, (width_of(sys.stderr) or WIDTH) - 1)  # a terminal may wrap at its last column
        self._unicode = knows_unicode(sys.stderr)
        self._begin_s = self._shown_s = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def show(self, done_s: float, total_s: float | None) -> None:
        """Draw the share done, at most each EVERY_S."""
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
