"""A run over an archive: which jobs there are, who does them, and what has become of them.

Owns: the choice of what is still to be done, shards, the counts, notes of failures.
Does not know: how jobs are run (local_runner.py, dask_runner.py), how counts are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol

from edgeaudio.archive.finished import Finished
from edgeaudio.archive.hearing import Hearing
from edgeaudio.archive.job import Job, Outcome, run_job
from edgeaudio.archive.places import Failure, Place
from edgeaudio.archive.recordings import LeftOut, Recording
from edgeaudio.archive.storage import remedy
from edgeaudio.errors import EdgeaudioError

ANOTHER_TIME = "has a result of another beginning: give the --zone and --begins of that run, or name another --out"


class Runner(Protocol):
    """A way of running jobs. Closing the iterator ends what it started."""

    def __call__(self, work: Callable[[Job], Outcome], jobs: Iterable[Job], /) -> Generator[Outcome, None, None]: ...


@dataclass(frozen=True, slots=True)
class Shard:
    """One of several parts of an archive, by a hash of the path: a recording stays in its part."""

    index: int  # from 0
    count: int

    def has(self, recording: Recording) -> bool:
        """True if the recording belongs to this part."""
        return self.count == 1 or recording.path_hash % self.count == self.index


WHOLE = Shard(0, 1)


@dataclass(slots=True)
class Counts:
    """What has become of the recordings of a run. `tell` is called with each that has no result, when that is known."""

    tell: Callable[[LeftOut], None]

    done: int = 0
    ended: int = 0  # of those that were to be done: done or not
    failed: int = 0
    before: int = 0  # done by an earlier run
    events: int = 0
    heard_s: float = 0.0

    def fail(self, recording: str, error: str) -> None:
        """Count a recording that has no result."""
        self.failed += 1
        self.tell(LeftOut(recording, error))


@dataclass(frozen=True, slots=True)
class Backlog:
    """What a run has to do, before it begins."""

    recordings: int  # to be done
    size_bytes: int  # of them
    found: int  # recordings of all parts, done or not


def job_of(recording: Recording, hearing: Hearing, place: Place) -> Job:
    """Return the job of a recording."""
    return Job(
        str(recording.key),
        recording.path,
        recording.source,
        recording.size_bytes,
        recording.changed_ns,
        recording.begins_at,
        hearing,
        place.address,
        recording.before,
        recording.after,
    )


def backlog(found: Iterable[Recording | LeftOut], done: Finished, shard: Shard) -> Backlog:
    """Return how much a run has to do."""
    recordings = size_bytes = in_all = 0
    for each in found:
        if isinstance(each, Recording):
            in_all += 1
            if shard.has(each) and not done.has(each) and not done.has_at_another_time(each):
                recordings += 1
                size_bytes += each.size_bytes
    return Backlog(recordings, size_bytes, in_all)


def run(
    found: Iterable[Recording | LeftOut],
    hearing: Hearing,
    place: Place,
    runner: Runner,
    shard: Shard,
    counts: Counts,
    *,
    done: Finished,
) -> Iterator[Outcome]:
    """Do what is not done yet; yield each outcome, and count it in `counts`, also what could not be begun.

    A recording that was replaced keeps its old result until the new one is there, which is then the only one.

    Raises EdgeaudioError if no result can be written.
    """
    try:
        failed: dict[str, set[str]] = {}  # keys by recording: of a file that was replaced, or had no right time
        for failure in place.failures():
            failed.setdefault(failure.recording, set()).add(failure.key)
        with closing(runner(run_job, _jobs(found, hearing, place, shard, counts, done))) as outcomes:
            for outcome in outcomes:
                if outcome.ends_run:
                    raise EdgeaudioError(outcome.error or "")
                _count(outcome, counts, place, failed)
                if outcome.error is None:
                    place.remove_parts(done.others_of(outcome.key))
                yield outcome
    except OSError as error:
        raise EdgeaudioError(
            f"{place.address}: cannot be used for results: {error.strerror or error}; {remedy(error)}"
        ) from None


def _jobs(
    found: Iterable[Recording | LeftOut], hearing: Hearing, place: Place, shard: Shard, counts: Counts, done: Finished
) -> Iterator[Job]:
    """Yield the jobs that are left; count the rest."""
    for each in found:
        if isinstance(each, LeftOut):
            if shard.index == 0:
                counts.fail(each.path, each.error)
        elif not shard.has(each):
            continue
        elif done.has(each):
            place.remove_parts(done.replaced_by(each))  # a run was killed before it did
            counts.before += 1
        elif done.has_at_another_time(each):
            counts.fail(each.path, ANOTHER_TIME)
        else:
            yield job_of(each, hearing, place)


def _count(outcome: Outcome, counts: Counts, place: Place, failed: dict[str, set[str]]) -> None:
    """Count an outcome, and keep a note of a failure until the recording has a result. Raises OSError."""
    counts.ended += 1
    stale = failed.pop(outcome.recording, set())
    if outcome.error is not None:
        stale.discard(outcome.key)
        counts.fail(outcome.recording, outcome.error)
        place.note_failure(Failure(outcome.key, outcome.recording, outcome.error))
    else:
        counts.done += 1
        counts.events += outcome.events
        counts.heard_s += outcome.duration_s
    for key in stale:
        place.forget_failure(key)
