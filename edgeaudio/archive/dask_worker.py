"""What runs in a worker of Dask: it hands jobs to processes of its own, and gives up those that nobody wants any more.

Owns: the processes of a worker, one for each of its threads, and their end when no job came for IDLE_S.
Does not know: what a job is (packed.py), who sent it (dask_window.py).

A worker only waits: a file that ends the process that reads it takes no worker with it, and no other file's name. The
thread of a task leaves the worker's pool (`secede`) once its job runs, so that the next task comes and its job waits in
the process already: what it needs is fetched meanwhile, and no core waits for the scheduler.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from distributed import get_worker, secede
from distributed.worker import Worker, thread_state

from edgeaudio.archive.dask_facts import Facts
from edgeaudio.archive.packed import NotRun, PackedJob, PackedOutcome
from edgeaudio.archive.process_pool import Pending, ProcessPool
from edgeaudio.archive.work import Work

IDLE_S = 30.0
POLL_S = 0.25
SETTLE_S = 0.05  # a worker is told of each task of a client that went in a message of its own
_WANTED = frozenset({"executing", "long-running", "resumed"})  # states of a task that somebody waits for
_ENDING = frozenset({"closing", "closed", "failed"})  # states of a worker

_Work = Work[PackedJob, PackedOutcome | NotRun]
_Pending = Pending[PackedJob, PackedOutcome | NotRun]
_Pool = ProcessPool[PackedJob, PackedOutcome | NotRun]


@dataclass(frozen=True, slots=True)
class Refused:
    """Answer of a worker on which other rows could come out."""

    worker: str
    facts: Facts


def run_here(
    job: bytes,
    work: _Work,
    shared: object,
    unpack: Callable[[Any], object],
    ask: Callable[[], Facts],
    wanted: Facts,
) -> PackedOutcome | NotRun | Refused:
    """Run a packed job in a process of this worker. `unpack` makes what all jobs share available here."""
    worker = get_worker()
    if (found := ask()) != wanted:
        return Refused(worker.address, found)
    try:
        packed = PackedJob(job, unpack(shared))
    except OSError as error:
        return NotRun(f"no room for the model on a worker: {error.strerror or error}")
    with _processes(worker, work) as used:
        pending = used.pool.submit(packed)
        used.tasks[pending] = _Task(worker, thread_state.key)
        try:
            _await(pending.began.wait, used)
            if not pending.outcome.done():  # a worker that ends waits for this thread, and holds what `secede` needs
                secede()
            _await(lambda timeout_s: bool(wait([pending.outcome], timeout_s).done), used)
            return pending.outcome.result()  # raises CancelledError if nobody wants it any more
        finally:
            del used.tasks[pending]


@dataclass(frozen=True, slots=True)
class _Task:
    """The task of Dask that is run in this thread."""

    worker: Worker
    key: str

    @property
    def is_wanted(self) -> bool:
        """True if somebody waits for its result."""
        if self.worker.status.name in _ENDING:
            return False
        task = self.worker.state.tasks.get(self.key)
        return task is not None and task.state in _WANTED


@dataclass(slots=True)
class _Used:
    """A pool of processes, and what it is used for."""

    pool: _Pool
    jobs: int = 0
    tasks: dict[_Pending, _Task] = field(default_factory=dict)
    timer: threading.Timer | None = None


def _await(event: Callable[[float], bool], used: _Used) -> None:
    """Wait for an event of a job; jobs that nobody wants any more are given up, all at once, so that none begins."""
    while not event(POLL_S):
        if all(task.is_wanted for task in list(used.tasks.values())):
            continue
        time.sleep(SETTLE_S)
        used.pool.cancel([pending for pending, task in list(used.tasks.items()) if not task.is_wanted])


_lock = threading.Lock()
_used: dict[tuple[str, _Work], _Used] = {}  # by worker: several may be threads of one process


@contextmanager
def _processes(worker: Worker, work: _Work) -> Iterator[_Used]:
    """Yield the processes of this worker for this work; they end IDLE_S after the last job."""
    key = (worker.address, work)
    with _lock:
        used = _used.get(key)
        if used is None:
            used = _used[key] = _Used(ProcessPool(work, worker.state.nthreads))
        used.jobs += 1
        if used.timer is not None:
            used.timer.cancel()
            used.timer = None
    try:
        yield used
    finally:
        with _lock:
            used.jobs -= 1
            if used.jobs == 0:
                used.timer = threading.Timer(IDLE_S, _end, (key,))
                used.timer.daemon = True
                used.timer.start()


def _end(key: tuple[str, _Work]) -> None:
    """End processes that have no job."""
    with _lock:
        if _used[key].jobs:
            return
        used = _used.pop(key)
    used.pool.close()
