"""Processes that run jobs, each job in one of them, and never harmed by what a job does to its process.

Owns: the processes, which job is in which, and what becomes of a job whose process ended.
Does not know: what a job is (work.py), where jobs come from.

Every process has one job that runs and one that waits in it, for which it fetches what that needs. When a process ends
in the middle of a job, that job is run again, alone in a fresh process: a passer-by may have killed the first one, for
want of memory for instance. If that ends too, the job has an outcome that says so. What waited behind it was not begun,
and is run as if nothing had happened: no other file is blamed, and none is run twice.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import IO, Generic, Protocol, Self

from edgeaudio.archive.advance import Advance
from edgeaudio.archive.process import ADVANCED, BEGAN, DONE, FAILED, READY, receive, send
from edgeaudio.archive.work import Job, Outcome, Work

IN_A_PROCESS = 2  # one runs, one waits
MOST_TRIES = 2

# One thread a process: the cores are shared out already. And glibc's allocator: Dask's nanny has memory given back from
# 64 KB on, for which blocks of sound take a page fault a page, again and again
_ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MALLOC_TRIM_THRESHOLD_": str(64 << 20),
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_ARENA_MAX": "2",
}


@dataclass(eq=False, slots=True)
class Pending(Generic[Job, Outcome]):
    """A job in the pool."""

    job: Job
    outcome: Future[Outcome] = field(default_factory=Future)
    began: threading.Event = field(default_factory=threading.Event)  # also set with the outcome
    tries: int = 0  # processes that ended while they ran it
    advance: Advance | None = None  # the last that its process told


class ProcessPool(Generic[Job, Outcome]):
    """Up to `count` processes; use it in a `with` block. Thread-safe."""

    def __init__(self, work: Work[Job, Outcome], count: int) -> None:
        self._work = work
        self._count = count
        self._lock = threading.Lock()
        self._waiting: deque[Pending[Job, Outcome]] = deque()
        self._processes: list[_Process[Job, Outcome]] = []
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def submit(self, job: Job) -> Pending[Job, Outcome]:
        """Have a job run. Its outcome raises nothing but CancelledError, once it or the pool is given up."""
        pending: Pending[Job, Outcome] = Pending(job)
        with self._lock:
            if self._closed:
                raise RuntimeError("the pool is closed")
            self._waiting.append(pending)
            self._hand_out()
        return pending

    def cancel(self, given_up: Iterable[Pending[Job, Outcome]]) -> None:
        """Give up jobs, in the middle of them too; what waits behind them is run."""
        with self._lock:
            for pending in given_up:
                _give_up(pending)
                with suppress(ValueError):
                    self._waiting.remove(pending)
            for process in self._processes:
                process.end_cancelled()

    def close(self) -> None:
        """End all processes, and give up what is in them."""
        with self._lock:
            self._closed = True
            processes = self._processes[:]
            left = [*self._waiting, *(each for process in processes for each in process.pending)]
            self._waiting.clear()
            for process in processes:
                process.kill()
        for process in processes:
            process.join()
        for pending in left:
            _give_up(pending)

    @property
    def pids(self) -> list[int]:
        """Of the processes that live."""
        with self._lock:
            return [process.pid for process in self._processes]

    def _hand_out(self) -> None:
        """Give what waits to the processes with the fewest jobs, and start some; the lock is held."""
        while self._waiting:
            first = self._waiting[0]
            process = min(self._processes, key=lambda each: len(each.pending), default=None)
            # what ended a process is alone in the next: a fresh one where that can be, and nothing joins
            if (process is None or process.pending or first.tries) and len(self._processes) < self._count:
                process = _Process(self._work, self._took, self._ended)
                self._processes.append(process)
            if process is None or len(process.pending) >= (1 if first.tries or process.is_suspected else IN_A_PROCESS):
                return
            process.give(self._waiting.popleft())

    def _took(self, process: _Process[Job, Outcome], outcome: Outcome) -> None:
        """Take the outcome of the first job in a process."""
        with self._lock:
            pending = process.pending.popleft()
            process.end_cancelled()
            if not self._closed:
                self._hand_out()
        _settle(pending, outcome)

    def _ended(self, process: _Process[Job, Outcome], words: str, *, is_suspect: bool) -> None:
        """Take the end of a process: its first job may be why, if that is suspect."""
        given_up = None
        with self._lock:
            self._processes.remove(process)
            if self._closed:
                return
            left = [each for each in process.pending if not each.outcome.cancelled()]
            if left and left[0] is process.pending[0]:
                left[0].tries += 1
                left[0].advance = None
                if left[0].tries >= MOST_TRIES:
                    given_up = left.pop(0)
            self._waiting.extendleft(reversed(left))
            self._hand_out()
        if given_up is not None:
            outcome_of = self._work.failed if is_suspect else self._work.unstarted or self._work.failed
            _settle(given_up, outcome_of(given_up.job, words))


class Ended(Protocol[Job, Outcome]):
    """Who is told that a process ended, and why; `is_suspect`: by what it ran, as it seems."""

    def __call__(self, process: _Process[Job, Outcome], words: str, /, *, is_suspect: bool) -> None: ...


class _Process(Generic[Job, Outcome]):
    """One process, and the thread that waits for its answers. The pool holds its lock around all but `join`."""

    def __init__(
        self,
        work: Work[Job, Outcome],
        took: Callable[[_Process[Job, Outcome], Outcome], None],
        ended: Ended[Job, Outcome],
    ) -> None:
        self.pending: deque[Pending[Job, Outcome]] = deque()  # the first one runs
        self._took = took
        self._ended = ended
        self._program = subprocess.Popen(
            [sys.executable, "-P", "-m", "edgeaudio.archive.process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # what is imported here can be there
            env=os.environ | _ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            process_group=0,  # Ctrl-C is for this process
        )
        assert self._program.stdin is not None  # noqa: S101 (a pipe)
        assert self._program.stdout is not None  # noqa: S101 (a pipe)
        self._jobs: IO[bytes] = self._program.stdin
        self._answers: IO[bytes] = self._program.stdout
        self._send(work)
        self._listener = threading.Thread(target=self._listen, name=f"process {self.pid}", daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._program.pid

    @property
    def is_suspected(self) -> bool:
        """True if a job in it ended a process before."""
        return any(each.tries for each in self.pending)

    def give(self, pending: Pending[Job, Outcome]) -> None:
        """Hand over a job."""
        self.pending.append(pending)
        self._send(pending.job)

    def kill(self) -> None:
        """End the process now."""
        self._program.kill()

    def end_cancelled(self) -> None:
        """End the process if nobody wants what it runs."""
        if self.pending and self.pending[0].outcome.cancelled():
            self.kill()

    def join(self) -> None:
        """Wait for the end of the process, and of the thread."""
        self._listener.join()

    def _send(self, message: object) -> None:
        with suppress(BrokenPipeError):  # the thread notices
            send(self._jobs, message)

    def _listen(self) -> None:
        is_ready, why = False, ""
        with suppress(EOFError):
            while True:
                kind, outcome = receive(self._answers)
                if kind == READY:
                    is_ready = True
                elif kind == FAILED:
                    why = f"{outcome}"
                elif kind == BEGAN:
                    self.pending[0].began.set()
                elif kind == ADVANCED:
                    self.pending[0].advance = outcome
                elif kind == DONE:
                    self._took(self, outcome)
        status = self._program.wait()
        with suppress(BrokenPipeError):
            self._jobs.close()
        self._answers.close()
        if is_ready and status < 0:
            self._ended(self, f"ended its process twice ({_words(status)}); is it damaged?", is_suspect=True)
        else:  # no recording makes a process exit: what libraries do for want of memory does
            reason = why or _words(status)
            self._ended(self, f"no process can work here ({reason}); is there memory for it?", is_suspect=False)


def _settle(pending: Pending[Job, Outcome], outcome: Outcome) -> None:
    with suppress(InvalidStateError):  # given up meanwhile
        pending.outcome.set_result(outcome)
    pending.began.set()


def _give_up(pending: Pending[Job, Outcome]) -> None:
    if not pending.outcome.cancelled() and pending.outcome.cancel():
        pending.outcome.set_running_or_notify_cancel()  # wakes who waits
    pending.began.set()


def _words(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    with suppress(ValueError):
        return signal.Signals(-status).name
    return f"signal {-status}"
