"""`edgeaudio archive plan`: what a run would do."""

from __future__ import annotations

from edgeaudio.archive.finished import Finished
from edgeaudio.archive.places import Place
from edgeaudio.archive.plans import Break, Plan
from edgeaudio.archive.plans import plan as plan_of
from edgeaudio.archive.recordings import LeftOut, begun, find_recordings
from edgeaudio.commands.archive.left_out import LeftOutLines
from edgeaudio.commands.archive.run import EXIT_NOTHING, EXIT_SOME, hours, nothing_line
from edgeaudio.commands.archive.wishes import Wishes
from edgeaudio.console import columns, counted
from edgeaudio.errors import EdgeaudioError
from edgeaudio.terminal import one_line, print_error, print_out


def plan(wishes: Wishes, *, list_gaps: bool) -> int:
    """Print what a run would do. Raises EdgeaudioError where nothing can be found."""
    place, begins_at = Place(f"{wishes.out.rstrip('/')}/{wishes.hearing().place}"), wishes.begins_at()
    found = begun(find_recordings(wishes.recordings, begins_at))
    try:
        done = Finished(place.done())
    except OSError as error:
        raise EdgeaudioError(f"{place.address}: cannot be read: {error.strerror or error}") from None
    sums = Plan()
    with LeftOutLines() as left_out:
        for each in plan_of(found, done, wishes.part(), sums):
            if isinstance(each, LeftOut):
                left_out.tell(each)
            elif list_gaps:
                print_out(_break_line(each))
        if wishes.part().index == 0:
            wishes.print_unused(begins_at)
        if sums.months:
            _print_sums(sums, list_gaps=list_gaps)
        elif not left_out.count:
            print_error(nothing_line(wishes.recordings))
        left_out.print_all("file")
    if not sums.months:
        if left_out.count:
            print_out("to do:    nothing can be listened to yet; do what the lines above say, then plan again")
        return EXIT_NOTHING
    print_out(f"results:  {place.address}")
    return EXIT_SOME if left_out.count else 0


def _print_sums(sums: Plan, *, list_gaps: bool) -> None:
    _print_months(sums)
    total = sums.total
    print_out(f"to do:    {total.recordings - total.done} of {counted(total.recordings, 'recording')}")
    if sums.gaps or sums.overlaps:
        gaps, overlaps = hours(sums.gap_s), hours(sums.overlap_s)
        between = f"{counted(sums.gaps, 'gap')} ({gaps}), {counted(sums.overlaps, 'overlap')} ({overlaps})"
        print_out(f"between:  {between}{'' if list_gaps else '; --gaps lists them'}")


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
