"""When a recording begins: by a table of the user's, by what is written in its file, by its name, in this order.

Owns: that order, and what happens where two of them disagree. Does not know: how names, files and tables are read
(name_patterns.py, recorder_comments.py, begins_csv.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import BinaryIO

from edgeaudio.archive.name_patterns import time_in_name
from edgeaudio.archive.recorder_comments import time_in_file
from edgeaudio.archive.written_times import StartTimeError, WrittenTime

# a recorder that is late for its schedule names the file by the schedule, and writes when the sound began into it
AGREES_WITHIN = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Beginning:
    """When a recording's first sample was heard, in UTC, and what says so ("its name (AudioMoth)")."""

    begins_at: datetime
    origin: str


def beginning(
    path: str,
    file: BinaryIO | None,
    now: datetime,
    *,
    zone: tzinfo | None = None,
    given: datetime | None = None,
) -> Beginning:
    """Return when a recording begins.

    Args:
        path: Its name, or a path with slashes; only the name counts.
        file: Its content, seekable, of which the metadata is read; None: the name alone decides.
        now: Aware; bounds the years that are credible.
        zone: Of the recorder's clock, for times that are written without one.
        given: What the user's table says (aware): nothing else is asked then.

    Raises:
        ZoneNeededError: The time is written without a zone, and `zone` is None.
        StartTimeError: Nothing says when it begins, or not credibly, or file and name disagree. The message does not
            name the recording, and ends in what to do.
        OSError: By the file.
    """
    if given is not None:
        return Beginning(given.astimezone(UTC), "--begins")
    in_file = None if file is None else time_in_file(file, now)
    try:
        in_name = time_in_name(path, now)
    except StartTimeError:
        if in_file is None:
            raise
        return Beginning(in_file.utc(zone), in_file.origin)
    chosen = in_name if in_file is None else _reconciled(in_file, in_name, zone)
    return Beginning(chosen.utc(zone), chosen.origin)


def _reconciled(in_file: WrittenTime, in_name: WrittenTime, zone: tzinfo | None) -> WrittenTime:
    """Return the one in the file, or the one in the name if that alone has a zone. Raises StartTimeError.

    They agree by the recorder's clock, which writes both, or in UTC, for files that were renamed by UTC or by `zone`.
    """
    clocks = {in_name.clock}
    if in_name.time.tzinfo is not None:
        clocks.add(in_name.time.astimezone(UTC).replace(tzinfo=None))
    of_file = {in_file.clock}
    if in_file.time.tzinfo is not None:
        of_file.add(in_file.time.astimezone(UTC).replace(tzinfo=None))
        if zone is not None:
            of_file.add(in_file.time.astimezone(zone).replace(tzinfo=None))
    both_have_zones = in_file.time.tzinfo is not None and in_name.time.tzinfo is not None
    if both_have_zones:
        agree = abs(in_file.time - in_name.time) <= AGREES_WITHIN
    else:
        agree = any(abs(one - other) <= AGREES_WITHIN for one in clocks for other in of_file)
    if not agree:
        both = f"{in_file.origin} says {in_file.time}, but {in_name.origin} {in_name.time}"
        raise StartTimeError(f"{both}; give the right one with --begins")
    return in_name if in_file.time.tzinfo is None and in_name.time.tzinfo is not None else in_file
