"""Which clips are removed, and when.

Owns: the limits' order, a run over the folder in small steps, and the line with its counts. Does not know: how clips
are written.

A run removes clips that are too old, then those that are not among the best of their label, then the oldest until the
others are few enough and within the bytes, then the oldest until the disk has enough left. It removes what records in
the folder name, and nothing else. Where a limit is exceeded, it removes some more, so that not each new clip needs a
run.

Ages are those of the system clock, which may be wrong for a while. Nothing is removed for its age before the clock has
stood for some time (steady_clock.py). A clip whose onset is in the future counts as made when its record was changed
last, and where that is in the future too, now; its record's file gets that date.
"""

from __future__ import annotations

import logging
import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from edgeaudio.clips.library import MAX_SCANNED, BrokenRecord, Clip, ClipLibrary, ClipLibraryError
from edgeaudio.sinks.clips.config import RetentionLimits
from edgeaudio.steady_clock import SteadyClock

log = logging.getLogger(__name__)

INTERVAL_S = 3600.0  # between two runs
BUSY_INTERVAL_S = 600.0  # if clips have come since
SLACK = 0.05  # of a limit of bytes, removed beyond it
MAX_CLIPS = MAX_SCANNED * 9 // 10  # beyond MAX_SCANNED, clips can be neither listed nor removed
MB = 1_000_000
DAY_S = 86_400.0
# no clip is older: an earlier date is that of a clock that was not set yet, and says nothing of the age
FIRST_S = datetime(2026, 1, 1, tzinfo=UTC).timestamp()


@dataclass(frozen=True, slots=True)
class _Entry:
    """What a run remembers of a clip."""

    name: str  # of the record
    id: str
    at_s: float  # Unix time of the onset, or what counts for it
    label: str
    score: float
    bytes: int
    keep: bool


class Retention:
    """Removes clips of one folder. `work` must be called now and then."""

    def __init__(
        self,
        library: ClipLibrary,
        limits: RetentionLimits,
        free_bytes: Callable[[], int],
        clock: SteadyClock | None = None,
    ) -> None:
        self._library = library
        self._limits = limits
        self._free_bytes = free_bytes
        self._clock = clock or SteadyClock()
        self._run: Iterator[None] | None = None
        self._due_s = 0.0  # monotonic
        self._added_bytes = 0
        self._total_bytes = 0  # after the last run

    def added(self, n_bytes: int) -> None:
        """Count a clip that was written. Raises OSError."""
        self._added_bytes += n_bytes
        self._due_s = min(self._due_s, time.monotonic() + BUSY_INTERVAL_S)
        is_over = self._total_bytes + self._added_bytes > self._limits.max_bytes
        # before the next clip finds too little room and is lost
        if is_over or self._free_bytes() < self._limits.min_free_bytes:
            self._due_s = 0.0

    def work(self, for_s: float) -> None:
        """Work for at most so long if a run is due. Raises ClipLibraryError, OSError."""
        end_s = time.monotonic() + for_s
        self._clock.look()
        if self._run is None:
            if time.monotonic() < self._due_s:
                return
            self._run = self._steps()
            self._due_s = time.monotonic() + INTERVAL_S  # earlier if clips come during the run
        try:
            while time.monotonic() < end_s:
                if next(self._run, self) is self:
                    self._run = None
                    return
        except BaseException:
            self._run = None
            raise

    def run(self, limit_s: float) -> None:
        """Do a whole run now, within the time. Raises ClipLibraryError, OSError."""
        self._due_s, self._run = 0.0, None
        self.work(limit_s)

    def _steps(self) -> Iterator[None]:
        """Do a run, a clip at each step."""
        self._added_bytes = 0
        is_believed = self._clock.is_believed(self._limits.max_age_s)
        entries: list[_Entry] = []
        broken = 0
        try:
            for found in self._library.scan():
                if isinstance(found, BrokenRecord):
                    broken += 1
                else:
                    entries.append(_entry(found, self._clock.now_s(), is_dated=is_believed))
                yield
        except ClipLibraryError:
            if len(entries) + broken < MAX_CLIPS:
                raise
        free = [entry for entry in entries if not entry.keep]
        kept = len(entries) - len(free)
        too_old = self._too_old(free)
        total_bytes = sum(entry.bytes for entry in entries)
        chosen = self._chosen(free, too_old if is_believed else [], len(entries) + broken, total_bytes)
        removed: Counter[str] = Counter()
        freed = 0
        failed: list[str] = []
        for why, entry in chosen:
            try:
                if self._library.remove_unless_kept(Path(self._library.folder, entry.name), entry.id):
                    removed[why] += 1
                    freed += entry.bytes
            except OSError as error:  # one that cannot be removed keeps no other from it
                failed.append(f"{entry.name}: {error.strerror or error}")
                if isinstance(error, BlockingIOError):  # the folder is locked: each would wait as long
                    break
            yield
        self._total_bytes = total_bytes - freed
        waits = bool(too_old) and not is_believed
        reasons = ", ".join(f"{count} {why}" for why, count in removed.items())
        log.info(
            "clips: %d removed%s; %d stay (%.1f MB), of which %d are marked keep%s; broken records, not touched: %d",
            removed.total(),
            f" ({reasons})" if reasons else "",
            len(entries) - removed.total(),
            self._total_bytes / MB,
            kept,
            f", and {len(too_old)} seem too old by a clock that has not stood for long" if waits else "",
            broken,
        )
        self._warn(sum(entry.bytes for entry in entries if entry.keep), failed)

    def _warn(self, kept_bytes: int, failed: Sequence[str]) -> None:
        if kept_bytes > self._limits.max_bytes:
            log.warning(
                "clips: those marked keep have more than clips.max_mb, so that every other is removed; "
                "raise it, or take the mark away (edgeaudio clips keep --not)"
            )
        if failed:
            log.warning("clips: %d could not be removed, such as %s", len(failed), failed[0])

    def _too_old(self, entries: Iterable[_Entry]) -> list[_Entry]:
        oldest_s = self._clock.now_s() - self._limits.max_age_s
        return [entry for entry in entries if FIRST_S <= entry.at_s < oldest_s]

    def _chosen(
        self, entries: Iterable[_Entry], too_old: list[_Entry], count: int, total_bytes: int
    ) -> list[tuple[str, _Entry]]:
        """Return what is to be removed, and why, in order. `count`, `total_bytes`: of all that is in the folder."""
        limits = self._limits
        left = sorted(entries, key=lambda entry: (entry.at_s, entry.name))
        chosen: list[tuple[str, _Entry]] = []

        def choose(why: str, found: list[_Entry]) -> None:
            nonlocal left
            chosen.extend((why, entry) for entry in found)
            names = {entry.name for entry in found}
            left = [entry for entry in left if entry.name not in names]

        choose(f"older than {limits.max_age_s / DAY_S:g} days", too_old)
        if limits.best_per_label is not None:
            choose(f"not among the best {limits.best_per_label} of a label", _worse(left, limits.best_per_label))
        choose(f"beyond {MAX_CLIPS} clips", left[: max(0, count - len(chosen) - MAX_CLIPS)])
        over = total_bytes - sum(entry.bytes for _, entry in chosen) - limits.max_bytes
        if over > 0:
            over += round(SLACK * limits.max_bytes)
        choose(f"over {limits.max_bytes / MB:g} MB", _oldest(left, over))
        short = limits.min_free_bytes - self._free_bytes() - sum(entry.bytes for _, entry in chosen)
        if short > 0:
            short += round(SLACK * limits.min_free_bytes)
        choose(f"to leave {limits.min_free_bytes / MB:g} MB of the disk free", _oldest(left, short))
        return chosen


def _entry(clip: Clip, now_s: float, *, is_dated: bool) -> _Entry:
    """`is_dated`: a record from the future gets the present as its date."""
    record = clip.record
    n_bytes = 0
    for file in clip.files:
        try:
            n_bytes += file.stat().st_size
        except OSError:  # gone
            continue
    at_s = record.onset.timestamp()
    if at_s > now_s:
        at_s = now_s
        with suppress(OSError):
            changed_s = clip.file.stat().st_mtime
            if changed_s > now_s and is_dated:
                os.utime(clip.file, (now_s, now_s), follow_symlinks=False)
            at_s = min(changed_s, now_s)
    return _Entry(clip.file.name, record.id, at_s, record.label, record.score, n_bytes, record.review.keep)


def _worse(entries: Iterable[_Entry], best: int) -> list[_Entry]:
    """Return the clips beyond the best of each label."""
    by_label: dict[str, list[_Entry]] = defaultdict(list)
    for entry in entries:
        by_label[entry.label].append(entry)
    ranked = (sorted(each, key=lambda entry: (-entry.score, -entry.at_s)) for each in by_label.values())
    return [entry for each in ranked for entry in each[best:]]


def _oldest(entries: Iterable[_Entry], n_bytes: int) -> list[_Entry]:
    """Return the first clips that have as many bytes together."""
    found: list[_Entry] = []
    for entry in entries:
        if n_bytes <= 0:
            break
        found.append(entry)
        n_bytes -= entry.bytes
    return found
