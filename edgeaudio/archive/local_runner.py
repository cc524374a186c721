"""Jobs in processes of this machine, one for each core.

Owns: how many jobs are in the processes at once. Does not know: what a job does, what follows when a process dies
(process_pool.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait

from edgeaudio.archive.fetching import work_of
from edgeaudio.archive.job import Job, Outcome
from edgeaudio.archive.process_pool import IN_A_PROCESS, ProcessPool


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


def run_locally(work: Callable[[Job], Outcome], jobs: Iterable[Job], *, workers: int) -> Generator[Outcome, None, None]:
    """Yield the outcome of each job, as they come; closing the iterator ends the processes.

    `work` and the jobs are pickled. Jobs are taken as processes become free.
    """
    more = iter(jobs)
    at_work: set[Future[Outcome]] = set()
    with ProcessPool(work_of(work), workers) as pool:
        while True:
            while len(at_work) < workers * IN_A_PROCESS and (job := next(more, None)) is not None:
                at_work.add(pool.submit(job).outcome)
            if not at_work:
                return
            done, at_work = wait(at_work, return_when=FIRST_COMPLETED)
            yield from (outcome.result() for outcome in done)
