"""Recordings that lie elsewhere, fetched while the one before is listened to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from edgeaudio.archive.job import Job, Outcome
from edgeaudio.archive.storage import local_copy
from edgeaudio.archive.work import Work


@contextmanager
def fetched(job: Job) -> Iterator[Job]:
    """Yield the job with a recording of this machine. Raises EdgeaudioError."""
    if "://" not in job.source:
        yield job
        return
    with local_copy(job.source) as path:
        yield replace(job, source=str(path))


def work_of(run: Callable[[Job], Outcome]) -> Work[Job, Outcome]:
    """Return how processes do a job."""
    return Work(run=run, failed=Outcome.failed, fetch=fetched)
