"""Jobs in processes of this machine, one for each core.

Owns: the processes, what each is at, and what follows when one dies: its job is tried once more, alone, when all
others are done, and named if it kills that process too. Does not know: what a job does.

A process has one job at a time, so that no other job's name is on a death.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import FrameType

from edgeaudio.archive.job import Job, Outcome

Work = Callable[[Job], Outcome]

# not fork: a fork of a process with threads (Arrow's, BLAS's) may hang
_CONTEXT = multiprocessing.get_context("spawn")
END_S = 5.0  # for a process to end by itself


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


def run_locally(work: Work, jobs: Iterable[Job], *, workers: int) -> Generator[Outcome, None, None]:
    """Yield the outcome of each job, as they come; closing the iterator ends the processes.

    `work` and the jobs are pickled. Jobs are taken as processes become free.
    """
    pool = _Pool(work)
    suspects: list[Job] = []
    try:
        yield from _run(pool, iter(jobs), workers, suspects, last=False)
        yield from _run(pool, iter(suspects), 1, [], last=True)
    finally:
        pool.end()


def _run(pool: _Pool, jobs: Iterator[Job], workers: int, suspects: list[Job], *, last: bool) -> Iterator[Outcome]:
    """Yield outcomes; add the jobs whose process died to `suspects`, unless this is their last try."""
    if last:
        pool.end()  # each suspect has a process that nothing else was done in
    more = True
    while True:
        while more and pool.busy < workers:
            job = next(jobs, None)
            if job is None:
                more = False
            else:
                pool.begin(job)
        if not pool.busy:
            return
        for job, outcome, death in pool.finished():
            if outcome is not None:
                yield outcome
            elif last:
                yield Outcome.failed(job, f"ended its process twice ({death}); is it damaged?")
            else:
                suspects.append(job)
        if last:
            pool.end()


class _Pool:
    """Processes that wait for a job or are at one."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._idle: list[_Worker] = []
        self._at_work: dict[int, tuple[_Worker, Job]] = {}  # by descriptor

    @property
    def busy(self) -> int:
        return len(self._at_work)

    def begin(self, job: Job) -> None:
        """Hand a job to a process, a new one if all others are busy."""
        worker = self._idle.pop() if self._idle else _Worker(self._work)
        self._at_work[worker.connection.fileno()] = worker, job
        worker.give(job)

    def finished(self) -> Iterator[tuple[Job, Outcome | None, str]]:
        """Wait for a process; yield jobs that are finished: their outcome, or None and how the process died."""
        connections = [worker.connection for worker, _ in self._at_work.values()]
        for ready in wait(connections):
            assert isinstance(ready, Connection)  # noqa: S101 (what was waited for)
            worker, job = self._at_work.pop(ready.fileno())
            outcome = worker.outcome()
            if outcome is None:
                yield job, None, worker.death()
            else:
                self._idle.append(worker)
                yield job, outcome, ""

    def end(self) -> None:
        """End all processes: those that are at a job leave no result of it."""
        workers = [*self._idle, *(worker for worker, _ in self._at_work.values())]
        self._idle, self._at_work = [], {}
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            worker.end()


class _Worker:
    """A process, and the pipe to it."""

    def __init__(self, work: Work) -> None:
        self.connection, far = _CONTEXT.Pipe()
        self.process: SpawnProcess = _CONTEXT.Process(target=_serve, args=(far, work), daemon=True)
        # Ctrl-C reaches the whole group: not a process that does not ignore it yet
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        far.close()

    def give(self, job: Job) -> None:
        with suppress(OSError):  # it died while it waited: `outcome` tells
            self.connection.send(job)

    def outcome(self) -> Outcome | None:
        """Return what the process sent; None if it died."""
        try:
            received = self.connection.recv()
        except (OSError, EOFError):
            return None
        assert isinstance(received, Outcome)  # noqa: S101 (of _serve)
        return received

    def death(self) -> str:
        """Return in words how the process ended, and forget it."""
        self.end()
        code = self.process.exitcode or 0
        return signal.Signals(-code).name if code < 0 else f"exit status {code}"

    def end(self) -> None:
        """Wait for the end of the process."""
        self.process.join(END_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.connection.close()


def _serve(connection: Connection, work: Work) -> None:
    """Do the jobs that come, in a process of its own, until the other end is closed or its process is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process
    signal.signal(signal.SIGTERM, _exit)
    nowhere = os.open(os.devnull, os.O_WRONLY)  # of what libraries print there: outcomes say what matters
    os.dup2(nowhere, 2)
    os.close(nowhere)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            job = connection.recv()
        except (EOFError, OSError):
            return
        connection.send(work(job))


def _exit(_: int, __: FrameType | None) -> None:
    raise SystemExit(0)  # so that temporary files are removed


def _end_with_parent() -> None:
    """End this process once its parent is gone, however that ended: nobody would take the outcome."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
