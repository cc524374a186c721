"""`edgeaudio archive run`: progress while it runs, and a summary that names what was left out."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

from edgeaudio.archive.finished import Finished
from edgeaudio.archive.local_runner import run_locally, usable_cores
from edgeaudio.archive.places import Place, open_place
from edgeaudio.archive.recordings import begun, deeper_pattern, find_recordings
from edgeaudio.archive.runs import Counts, Runner, Shard, backlog
from edgeaudio.archive.runs import run as run_jobs
from edgeaudio.archive.storage import remedy
from edgeaudio.commands.archive.left_out import LeftOutLines
from edgeaudio.commands.archive.run_progress import Progress
from edgeaudio.commands.archive.wishes import Wishes
from edgeaudio.commands.exit_status import report
from edgeaudio.console import counted
from edgeaudio.errors import EdgeaudioError
from edgeaudio.terminal import one_line, print_error, print_out

EXIT_SOME = 1
EXIT_NOTHING = 2


def run(wishes: Wishes, *, workers: int | None, scheduler: str | None) -> int:
    """Listen to what is not done yet. Raises EdgeaudioError where nothing can be done."""
    hearing, begins_at = wishes.hearing(), wishes.begins_at()
    first_look = begun(find_recordings(wishes.recordings, begins_at))
    place = open_place(wishes.out, hearing)
    try:
        done = Finished(place.done())
        to_do = backlog(first_look, done, wishes.part())
        place.note_found(to_do.found)
    except OSError as error:
        reason = f"{error.strerror or error}; {remedy(error)}"
        raise EdgeaudioError(f"{place.address}: cannot be used for results: {reason}") from None
    if wishes.part().index == 0:
        wishes.print_unused(begins_at)
    with LeftOutLines() as left_out:
        counts = Counts(left_out.tell)
        progress = Progress(to_do, counts)
        n_workers = min(workers or usable_cores(), max(1, to_do.recordings))
        runner: Runner = partial(run_locally, workers=n_workers, show=progress.running if progress.wanted else None)
        if scheduler is not None:
            from edgeaudio.archive.dask_jobs import on_dask  # noqa: PLC0415 (Dask is heavy, and few have it)

            runner = on_dask(scheduler, hearing.model, place.address)
        found = find_recordings(wishes.recordings, begins_at)
        ended_by: EdgeaudioError | None = None
        try:
            for outcome in run_jobs(found, hearing, place, runner, wishes.part(), counts, done=done):
                progress.ended(outcome)
        except EdgeaudioError as error:  # a full disk, or a scheduler that is gone: what is done is done
            ended_by = EdgeaudioError(f"{error}; {counted(to_do.recordings - counts.ended, 'recording')} left")
        finally:  # Ctrl-C too
            progress.clear()
            if counts.done or counts.failed or counts.before or (ended_by is None and to_do.found):
                _print_summary(counts, left_out, progress.elapsed_s, place, wishes.part())
    if ended_by is None and not (to_do.found or counts.failed):
        print_error(nothing_line(wishes.recordings))
        return EXIT_NOTHING
    if ended_by is None:
        return exit_status(counts)
    report(ended_by)
    return EXIT_SOME if counts.done else EXIT_NOTHING


def exit_status(counts: Counts) -> int:
    """Return 0 if all is done, 1 if some recordings were left out, 2 if nothing was done."""
    if not counts.failed:
        return 0  # also of a part that no recording belongs to
    return EXIT_SOME if counts.done or counts.before else EXIT_NOTHING


def _print_summary(counts: Counts, left_out: LeftOutLines, elapsed_s: float, place: Place, shard: Shard) -> None:
    speed = f", {counts.heard_s / elapsed_s:.0f} s of sound per second" if counts.done and elapsed_s > 0 else ""
    done, events = counted(counts.done, "recording"), counted(counts.events, "event")
    print_out(f"done:     {done}, {hours(counts.heard_s)}, {events}{speed}")
    if counts.before:
        print_out(f"before:   {counted(counts.before, 'recording')} done already")
    left_out.print_all("recording")
    with suppress(OSError):  # a full disk has been told, or will be
        if (file := left_out.keep(place, shard)) is not None:
            print_out(f"all:      {file}")
    print_out(f"results:  {place.address}")


def nothing_line(target: str) -> str:
    """Return what a user reads where nothing was found."""
    deeper = deeper_pattern(target)
    advice = "name a folder of them" if deeper is None else f"there are some in folders below: '{deeper}'"
    return f"edgeaudio: {one_line(target)}: no recordings there; {one_line(advice)}"


def hours(seconds: float) -> str:
    """Return a length of sound as text."""
    return f"{seconds / 3600:,.1f} h" if seconds >= 360 else f"{seconds:.1f} s"
