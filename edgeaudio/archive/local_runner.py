"""Jobs in processes of this machine, one for each core.

Owns: how many jobs are in the processes at once. Does not know: what a job does, what follows when a process dies
(process_pool.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait

from edgeaudio.archive.advance import EVERY_S, Advance
from edgeaudio.archive.fetching import work_of
from edgeaudio.archive.job import Job, Outcome
from edgeaudio.archive.process_pool import IN_A_PROCESS, Pending, ProcessPool

Show = Callable[[Mapping[str, tuple[Job, Advance]]], None]


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


def run_locally(
    work: Callable[[Job], Outcome], jobs: Iterable[Job], *, workers: int, show: Show | None = None
) -> Generator[Outcome, None, None]:
    """Yield the outcome of each job, as they come; closing the iterator ends the processes.

    `work` and the jobs are pickled. Jobs are taken as processes become free. `show` is called each EVERY_S, in the
    thread of the caller, with the jobs that run, by key, and how far each has come.
    """
    more = iter(jobs)
    at_work: dict[Future[Outcome], Pending[Job, Outcome]] = {}
    with ProcessPool(work_of(work), workers) as pool:
        while True:
            while len(at_work) < workers * IN_A_PROCESS and (job := next(more, None)) is not None:
                pending = pool.submit(job)
                at_work[pending.outcome] = pending
            if not at_work:
                return
            done, _ = wait(at_work, None if show is None else EVERY_S, return_when=FIRST_COMPLETED)
            for outcome in done:
                del at_work[outcome]
                yield outcome.result()
            if show is not None:
                show({each.job.key: (each.job, each.advance) for each in at_work.values() if each.advance is not None})
