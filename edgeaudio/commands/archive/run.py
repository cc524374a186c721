"""`edgeaudio archive run`: progress while it runs, and a summary that names what was left out."""

from __future__ import annotations

import sys
import time
from functools import partial

from edgeaudio.archive.job import Outcome
from edgeaudio.archive.local_runner import run_locally, usable_cores
from edgeaudio.archive.places import open_place
from edgeaudio.archive.recordings import LeftOut, find_recordings
from edgeaudio.archive.runs import Backlog, Counts, Finished, Runner, backlog
from edgeaudio.archive.runs import run as run_jobs
from edgeaudio.commands.archive.wishes import Wishes
from edgeaudio.console import knows_unicode, progress_line
from edgeaudio.errors import EdgeaudioError
from edgeaudio.terminal import on_terminal, one_line, print_error, print_out, redraw, width_of

EXIT_SOME = 1
EXIT_NOTHING = 2
EVERY_S = 0.2
_WIDTH = 100


def run(wishes: Wishes, *, workers: int | None, scheduler: str | None) -> int:
    """Listen to what is not done yet. Raises EdgeaudioError where nothing can be done."""
    hearing, begins_at = wishes.hearing(), wishes.begins_at()
    place = open_place(wishes.out, hearing)
    try:
        done = Finished(place.done())
        to_do = backlog(find_recordings(wishes.recordings, begins_at), done, wishes.part())
        place.note_found(to_do.found)
    except OSError as error:
        raise EdgeaudioError(f"{place.address}: cannot be used for results: {error.strerror or error}") from None
    n_workers = min(workers or usable_cores(), max(1, to_do.recordings))
    runner: Runner = partial(run_locally, workers=n_workers)
    if scheduler is not None:
        from edgeaudio.archive.dask_jobs import on_dask  # noqa: PLC0415 (Dask is heavy, and few have it)

        runner = on_dask(scheduler, hearing.model, place.address)
    counts, progress = Counts(_print_left_out), _Progress(to_do)
    found = find_recordings(wishes.recordings, begins_at)
    try:
        for outcome in run_jobs(found, hearing, place, runner, wishes.part(), counts, done=done):
            progress.show(outcome, counts)
    except BaseException:  # Ctrl-C or a full disk: what is done is done
        progress.clear()
        if counts.done or counts.failed or counts.before:
            _print_summary(counts, progress.elapsed_s, place.address)
        raise
    progress.clear()
    _print_summary(counts, progress.elapsed_s, place.address)
    return exit_status(counts)


def _print_left_out(each: LeftOut) -> None:
    print_error(f"edgeaudio: {one_line(each.path)}: {one_line(each.error)}")


def exit_status(counts: Counts) -> int:
    """Return 0 if all is done, 1 if some recordings were left out, 2 if nothing was done."""
    if not counts.failed:
        return 0 if counts.done or counts.before else EXIT_NOTHING
    return EXIT_SOME if counts.done or counts.before else EXIT_NOTHING


def _print_summary(counts: Counts, elapsed_s: float, address: str) -> None:
    if not (counts.done or counts.failed or counts.before):
        print_error("edgeaudio: no recordings there; name a folder that has some, or a pattern")
        return
    speed = f", {counts.heard_s / elapsed_s:.0f} s of sound per second" if counts.done and elapsed_s > 0 else ""
    print_out(f"done:     {counts.done} recordings, {hours(counts.heard_s)}, {counts.events} events{speed}")
    if counts.before:
        print_out(f"before:   {counts.before} recordings were done already")
    if counts.failed:
        print_out(f"left out: {counts.failed} recordings")
        for each in counts.failures:
            print_out(f"  {one_line(each.path)}: {one_line(each.error)}")
        if counts.failed > len(counts.failures):
            print_out(f"  and {counts.failed - len(counts.failures)} more, on standard error")
    print_out(f"results:  {address}")


def hours(seconds: float) -> str:
    """Return a length of sound as text."""
    return f"{seconds / 3600:,.1f} h" if seconds >= 360 else f"{seconds:.1f} s"


class _Progress:
    """The bar, on a terminal: share of the bytes done, time left, seconds of sound per second."""

    def __init__(self, sizes: Backlog) -> None:
        self._total_bytes = max(1, sizes.size_bytes)
        self._recordings = sizes.recordings
        self._done_bytes = 0
        self._wanted = on_terminal(sys.stderr)
        self._width = min(_WIDTH, (width_of(sys.stderr) or _WIDTH) - 1)
        self._unicode = knows_unicode(sys.stderr)
        self._begin_s = self._shown_s = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._begin_s

    def show(self, outcome: Outcome, counts: Counts) -> None:
        """Draw what is done so far, at most each EVERY_S."""
        self._done_bytes += outcome.size_bytes
        now_s = time.monotonic()
        if not self._wanted or now_s - self._shown_s < EVERY_S:
            return
        self._shown_s = now_s
        elapsed_s = now_s - self._begin_s
        tail = f"  {counts.done + counts.failed}/{self._recordings}  {counts.heard_s / elapsed_s:.0f} s/s"
        bar = progress_line(
            self._done_bytes, self._total_bytes, elapsed_s, self._width - len(tail), unicode=self._unicode
        )
        redraw(f"{bar}{tail}".ljust(self._width))

    def clear(self) -> None:
        """Remove the bar."""
        if self._shown_s > self._begin_s:
            redraw(" " * self._width)
            redraw("")
