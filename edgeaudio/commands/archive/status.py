"""`edgeaudio archive status`: what is done in each place, and what failed."""

from __future__ import annotations

from edgeaudio.archive.places import places_below
from edgeaudio.commands.archive.run import hours
from edgeaudio.errors import EdgeaudioError
from edgeaudio.terminal import one_line, print_out


def status(out: str) -> int:
    """Print what is done, failed, and how many hours, by place. Raises EdgeaudioError if there are no results."""
    failed = 0
    try:
        places = places_below(out)
        if not places:
            raise EdgeaudioError(f"{out}: no results there; `edgeaudio archive run FOLDER --out {out}` makes them")
        for place in places:
            done = place.amount()
            failures = list(place.failures())
            failed += len(failures)
            print_out(f"place:    {place.address}")
            print_out(f"done:     {done.recordings} recordings, {hours(done.heard_s)}")
            if (found := place.found()) is not None:
                print_out(f"left:     {max(0, found - done.recordings)} of the {found} that the last run found")
            print_out(f"failed:   {len(failures)}")
            for failure in failures:
                print_out(f"  {one_line(failure.recording)}: {one_line(failure.error)}")
    except OSError as error:
        raise EdgeaudioError(f"{out}: cannot be read: {error.strerror or error}") from None
    return 1 if failed else 0
