"""`edgeaudio archive status`: what is done in each place, and what failed."""

from __future__ import annotations

from edgeaudio.archive.places import places_below
from edgeaudio.commands.archive.left_out import LeftOutLines
from edgeaudio.commands.archive.run import hours
from edgeaudio.console import counted
from edgeaudio.errors import EdgeaudioError
from edgeaudio.terminal import one_line, print_out


def status(out: str) -> int:
    """Print what is done, failed, and how many hours, by place. Raises EdgeaudioError if there are no results."""
    failed, lines = 0, []
    try:
        places = places_below(out)
        if not places:
            raise EdgeaudioError(f"{out}: no results there; `edgeaudio archive run FOLDER --out {out}` makes them")
        for place in places:
            done = place.amount()
            failures = list(place.failures())
            failed += len(failures) + len(done.damaged)
            lines.append(f"place:    {place.address}")
            lines.append(f"done:     {counted(done.recordings, 'recording')}, {hours(done.heard_s)}")
            if (found := place.found()) is not None:
                lines.append(f"left:     {max(0, found - done.recordings)} of the {found} that the last run found")
            lines.extend(
                f"damaged:  {one_line(f'{place.address}/{name}')}: remove it, and the next run does it again"
                for name in done.damaged
            )
            lines.append(f"failed:   {len(failures)}")
            lines.extend(f"  {one_line(failure.recording)}: {one_line(failure.error)}" for failure in failures)
            left_out = LeftOutLines.kept(place, {failure.recording for failure in failures})
            failed += left_out.count
            lines.extend(left_out.lines("recording"))
    except OSError as error:
        raise EdgeaudioError(f"{out}: cannot be read: {error.strerror or error}") from None
    for line in lines:  # beyond `try`: a reader that has closed the pipe is no fault of the results
        print_out(line)
    return 1 if failed else 0
