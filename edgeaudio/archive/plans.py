"""What a run would find: recordings and hours by month, gaps and overlaps, what is left out.

Owns: the sums, made as recordings come, so that memory does not grow with them. Does not know: how it is shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from edgeaudio.archive.finished import Finished
from edgeaudio.archive.recorders import spans_folders
from edgeaudio.archive.recordings import FOLLOWS_WITHIN_S, LeftOut, Recording
from edgeaudio.archive.runs import ANOTHER_TIME, Shard


@dataclass(frozen=True, slots=True)
class Break:
    """Two recordings of one recorder that do not follow each other."""

    before: str
    after: str
    at: datetime  # end of the one before
    seconds: float  # between them; negative: they overlap


@dataclass(slots=True)
class Month:
    """What a month has."""

    recordings: int = 0
    done: int = 0
    size_bytes: int = 0
    seconds: float = 0.0  # as far as the headers tell
    unknown: int = 0  # recordings whose length is known only once they are heard


@dataclass(slots=True)
class Plan:
    """The sums of a plan."""

    months: dict[str, Month] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    gaps: int = 0
    gap_s: float = 0.0
    overlaps: int = 0
    overlap_s: float = 0.0

    @property
    def total(self) -> Month:
        """All months together."""
        whole = Month()
        for month in self.months.values():
            whole.recordings += month.recordings
            whole.done += month.done
            whole.size_bytes += month.size_bytes
            whole.seconds += month.seconds
            whole.unknown += month.unknown
        return whole


def plan(found: Iterable[Recording | LeftOut], done: Finished, shard: Shard, sums: Plan) -> Iterator[Break | LeftOut]:
    """Add all that is found to `sums`; yield each gap and overlap, and each file that is left out.

    Recordings come folder by folder, those of one recorder in order of time.
    """
    here: dict[str, Recording] = {}  # the last by recorder, in the present folder
    everywhere: dict[str, Recording] = {}  # and of those that write into several
    folder = None
    for each in found:
        if isinstance(each, LeftOut):
            if shard.index == 0:
                sums.left_out[each.error] += 1
                yield each
            continue
        if folder != (folder := each.path.rpartition("/")[0]):
            here.clear()
        last = everywhere if spans_folders(each.recorder) else here
        before, last[each.recorder] = last.get(each.recorder), each
        if before is not None and (found_break := _break(before, each)) is not None:
            if found_break.seconds > 0:
                sums.gaps += 1
                sums.gap_s += found_break.seconds
            else:
                sums.overlaps += 1
                sums.overlap_s -= found_break.seconds
            yield found_break
        if shard.has(each):
            if done.has_at_another_time(each):
                sums.left_out[ANOTHER_TIME] += 1
                yield LeftOut(each.path, ANOTHER_TIME)
            else:
                _add(each, done, sums)


def _add(recording: Recording, done: Finished, sums: Plan) -> None:
    month = sums.months.setdefault(f"{recording.begins_at:%Y-%m}", Month())
    month.recordings += 1
    month.size_bytes += recording.size_bytes
    month.done += done.has(recording)
    if recording.length is None:
        month.unknown += 1
    else:
        month.seconds += recording.length.seconds


def _break(before: Recording, after: Recording) -> Break | None:
    ends_at = before.ends_at
    if ends_at is None or after.begins_at < before.begins_at:  # its folders are not in order of time
        return None
    seconds = (after.begins_at - ends_at).total_seconds()
    return Break(before.path, after.path, ends_at, seconds) if abs(seconds) >= FOLLOWS_WITHIN_S else None
