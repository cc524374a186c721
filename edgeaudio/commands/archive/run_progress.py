"""The bar of a run, on a terminal: share of the bytes done, time left, seconds of sound per second.

Owns: the sums of what has ended and of what runs, and how often they are drawn. Does not know: who runs it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping

from edgeaudio.archive.advance import Advance
from edgeaudio.archive.job import Job, Outcome
from edgeaudio.archive.runs import Backlog, Counts
from edgeaudio.console import knows_unicode, progress_line
from edgeaudio.terminal import on_terminal, redraw, width_of

EVERY_S = 0.2
_WIDTH = 100


class Progress:
    """The bar. Without a terminal nothing is drawn."""

    def __init__(self, to_do: Backlog, counts: Counts) -> None:
        self.wanted = on_terminal(sys.stderr)
        self._to_do = to_do
        self._counts = counts
        self._ended_bytes = 0
        self._running: dict[str, tuple[Job, Advance]] = {}
        self._width = min(_WIDTH, (width_of(sys.stderr) or _WIDTH) - 1)
        self._unicode = knows_unicode(sys.stderr)
        self._begin_s = self._shown_s = time.monotonic()
        self._first: tuple[float, float] | None = None  # when something was first known to run, and bytes done then

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._begin_s

    def ended(self, outcome: Outcome) -> None:
        """Count a recording that has ended."""
        self._ended_bytes += outcome.size_bytes
        self._running.pop(outcome.key, None)
        self._draw()

    def running(self, jobs: Mapping[str, tuple[Job, Advance]]) -> None:
        """Take what runs, by key, and how far it has come."""
        self._running = dict(jobs)
        if self._running and self._first is None:  # the start of the processes says nothing about the time left
            self._first = time.monotonic(), self._done_bytes
        self._draw()

    def clear(self) -> None:
        """Remove the bar."""
        if self._shown_s > self._begin_s:
            redraw(" " * self._width)
            redraw("")

    @property
    def _done_bytes(self) -> float:
        return self._ended_bytes + sum(job.size_bytes * at.share for job, at in self._running.values())

    def _draw(self) -> None:
        now_s = time.monotonic()
        if not self.wanted or now_s - self._shown_s < EVERY_S:
            return
        self._shown_s = now_s
        elapsed_s = now_s - self._begin_s
        heard_s = self._counts.heard_s + sum(at.heard_s for _, at in self._running.values())
        tail = f"  {self._counts.ended}/{self._to_do.recordings}  {heard_s / elapsed_s:.0f} s/s"
        done, total = self._done_bytes, max(1, self._to_do.size_bytes)
        if self._first is not None:
            first_s, before = self._first
            elapsed_s = done * (now_s - first_s) / (done - before) if done > before else 0.0
        bar = progress_line(done, total, elapsed_s, self._width - len(tail), unicode=self._unicode)
        redraw(f"{bar}{tail}".ljust(self._width))
