"""`edgeaudio archive plan`: what a run would do."""

from __future__ import annotations

from pathlib import Path

from edgeaudio.archive.places import Place
from edgeaudio.archive.plans import Break, Plan
from edgeaudio.archive.plans import plan as plan_of
from edgeaudio.archive.recordings import LeftOut, find_recordings
from edgeaudio.commands.archive.run import EXIT_NOTHING, EXIT_SOME, hours
from edgeaudio.commands.archive.wishes import Wishes
from edgeaudio.console import columns
from edgeaudio.errors import EdgeaudioError
from edgeaudio.terminal import one_line, print_error, print_out

NAMED = 100  # files of each kind that are listed, unless all are asked for


def plan(wishes: Wishes, *, list_gaps: bool) -> int:
    """Print what a run would do. Raises EdgeaudioError where nothing can be found."""
    place = Place(f"{wishes.out.rstrip('/')}/{wishes.hearing().place}")
    try:
        done = place.done()
    except OSError as error:
        raise EdgeaudioError(f"{place.address}: cannot be read: {error.strerror or error}") from None
    sums, listed = Plan(), 0
    for each in plan_of(find_recordings(wishes.recordings, wishes.begins_at()), done, wishes.part(), sums):
        if isinstance(each, Break):
            if list_gaps:
                print_out(_break_line(each))
        elif isinstance(each, LeftOut):
            listed += 1
            if listed <= NAMED:
                print_error(f"edgeaudio: {one_line(each.path)}: {one_line(each.error)}")
    if listed > NAMED:
        print_error(f"edgeaudio: and {listed - NAMED} more that are left out")
    total = sums.total
    if not total.recordings:
        if not listed:
            print_error(
                f"edgeaudio: {one_line(str(Path(wishes.recordings)))}: no recordings there; name a folder of them"
            )
        return EXIT_NOTHING
    _print_months(sums)
    print_out(f"to do:    {total.recordings - total.done} of {total.recordings} recordings")
    if sums.gaps or sums.overlaps:
        more = "" if list_gaps else "; --gaps lists them"
        print_out(
            f"between:  {sums.gaps} gaps ({hours(sums.gap_s)}), {sums.overlaps} overlaps ({hours(sums.overlap_s)}){more}"
        )
    if listed:
        print_out(f"left out: {listed} files")
    print_out(f"results:  {place.address}")
    return EXIT_SOME if listed else 0


def _print_months(sums: Plan) -> None:
    rows = [["month", "recordings", "done", "sound", "size"]]
    for name, month in [*sorted(sums.months.items()), ("all", sums.total)]:
        sound = hours(month.seconds) + (f" and {month.unknown} of unknown length" if month.unknown else "")
        rows.append([name, str(month.recordings), str(month.done), sound, f"{month.size_bytes / 1e9:.2f} GB"])
    for line in columns(rows, ["<", ">", ">", ">", ">"]):
        print_out(line)


def _break_line(each: Break) -> str:
    kind = "gap" if each.seconds > 0 else "overlap"
    return (
        f"{each.at:%Y-%m-%dT%H:%M:%SZ}  {kind} of {hours(abs(each.seconds))}  {one_line(each.before)} - "
        f"{one_line(each.after)}"
    )
