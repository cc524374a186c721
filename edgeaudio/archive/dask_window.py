"""The window of jobs that are submitted to a Dask: which there are, and what follows when a worker dies.

Owns: the futures, the workers that may have them, jobs that are submitted again.
Does not know: what a job is, how the client was connected (dask_runner.py), how a worker runs one (dask_worker.py).

Only a window of jobs is submitted, and each future is released with its result: what a client holds on to is run again
when the worker that had it dies.
"""

from __future__ import annotations

import logging
import queue
import time
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Generic
from uuid import uuid4

from distributed import Client, Future
from distributed.client import ClosedClientError
from distributed.scheduler import KilledWorker

from edgeaudio.archive.dask_facts import Facts, difference, differences, words_of
from edgeaudio.archive.dask_worker import Refused, run_here
from edgeaudio.archive.packed import Packing
from edgeaudio.archive.work import Job, Outcome
from edgeaudio.errors import EdgeaudioError
from edgeaudio.redact import mask

READY_S = 10.0  # limit for a worker to take what is shared, and for an outcome to come
LOOK_S = 5.0  # between looks at which workers there are
A_THREAD = 3  # jobs of a thread: one runs, one waits in its process, one in the worker
LEAST_JOBS = 16  # so that a Dask that adapts sees work to start workers for
MOST_TRIES = 3  # workers that died with a job: the job harms a process of its own only, so that it is not to blame

# what calls of a client raise whose scheduler is gone
GONE = (OSError, TimeoutError, CancelledError, ClosedClientError, RuntimeError, ValueError)

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Submitted(Generic[Job]):
    """A job that a future stands for."""

    job: Job
    tries: int  # times that it was submitted before
    workers: frozenset[str] | None  # that may have it; None: any


class Window(Generic[Job, Outcome]):
    """The jobs that are submitted, and the workers that may have them."""

    def __init__(
        self,
        client: Client,
        address: str,
        packing: Packing[Job, Outcome],
        shared: object,
        unpack: Callable[[Any], Any],
        facts: Callable[[], Facts],
    ) -> None:
        self._client = client
        self._address = address
        self._packing = packing
        self._packed_work = packing.packed_work()
        self._unpack = unpack
        self._name = f"edgeaudio-{uuid4().hex[:12]}"
        self._count = 0
        self._ask = facts
        self._facts = facts()
        self._threads: dict[str, int] = {}  # of workers, by address
        self._asked: set[str] = set()
        self._wrong: dict[str, str] = {}  # workers that must have no job, and why
        self._submitted: dict[Future, _Submitted[Job]] = {}
        self._finished: queue.SimpleQueue[Future] = queue.SimpleQueue()
        self._looked_s = -LOOK_S
        self._told = False  # that there is no worker
        self._shared: Future | None = None
        self._look()
        if self._threads and not self._allowed:
            raise EdgeaudioError("\n".join(self._wrong.values()))
        with _large_graphs():
            # a task of its own, and no scattered value: it is made again when the worker that holds it dies
            self._shared = client.submit(_identity, shared, key=f"{self._name}-shared", pure=False)
        self._held: list[Future] = []
        self._share(self._allowed)
        deadline_s = time.monotonic() + READY_S
        for future in self._held:  # a worker that cannot, now, gets its part later, or none
            with suppress(*GONE, KilledWorker):
                future.result(timeout=max(0.1, deadline_s - time.monotonic()))

    def outcomes(self, jobs: Iterator[Job]) -> Generator[Outcome, None, None]:
        """Yield the outcome of each job."""
        try:
            more = True
            while True:
                while more and len(self._submitted) < self._size:
                    job = next(jobs, None)
                    if job is None:
                        more = False
                    else:
                        self._submit(job, 0)
                if not self._submitted:
                    return
                self._look()
                with suppress(queue.Empty):
                    future = self._finished.get(timeout=LOOK_S)
                    if (submitted := self._submitted.pop(future, None)) is not None:
                        yield from self._take(future, submitted)
        finally:
            with suppress(*GONE):
                self._client.cancel([*self._submitted, *self._held, self._shared], force=True)

    @property
    def _allowed(self) -> frozenset[str]:
        return frozenset(self._threads) - set(self._wrong)

    @property
    def _size(self) -> int:
        return max(LEAST_JOBS, A_THREAD * sum(self._threads[worker] for worker in self._allowed))

    def _submit(self, job: Job, tries: int) -> None:
        self._check_connected()
        allowed = self._allowed if self._wrong else None
        self._count += 1
        try:
            future = self._client.submit(
                run_here,
                self._packing.packed(job),
                self._packed_work,
                self._shared,
                self._unpack,
                self._ask,
                self._facts,
                key=f"{self._name}-{self._count}",
                pure=False,
                workers=None if allowed is None else sorted(allowed),
                allow_other_workers=False,
            )
        except GONE as error:
            raise self._gone() from error
        self._submitted[future] = _Submitted(job, tries, allowed)
        future.add_done_callback(self._finished.put)

    def _take(self, future: Future, submitted: _Submitted[Job]) -> Iterator[Outcome]:
        """Yield the outcome of a future that is done, or submit its job again."""
        try:
            if future.status == "error":
                error = future.exception()
                reason = "the worker that had it died" if isinstance(error, KilledWorker) else words_of(error)
                self._looked_s = -LOOK_S  # a worker without edgeaudio, for one
            elif future.status == "finished":
                try:
                    result = future.result(timeout=READY_S)
                except TimeoutError:  # the worker died with it
                    self._submit(submitted.job, submitted.tries)
                    return
                if not isinstance(result, Refused):
                    yield self._packing.outcome(submitted.job, result)
                    return
                self._refuse(result.worker, difference(result.facts, self._facts))
                self._submit(submitted.job, submitted.tries)
                return
            elif future.status == "cancelled":  # by nobody here: the scheduler lost it, or is lost
                raise self._gone()
            else:  # "lost": it was finished, and the worker that held the outcome died before it was asked for
                self._submit(submitted.job, submitted.tries)
                return
        except GONE as error:
            raise self._gone() from error
        finally:
            future.release()
        if submitted.tries + 1 < MOST_TRIES:
            self._submit(submitted.job, submitted.tries + 1)
        else:
            yield self._packing.work.failed(submitted.job, f"{reason}, {MOST_TRIES} times; look into the workers' logs")

    def _look(self) -> None:
        """See which workers there are; ask new ones what they have; move jobs whose workers are all gone."""
        now_s = time.monotonic()
        if now_s - self._looked_s < LOOK_S:
            return
        self._looked_s = now_s
        self._check_connected()
        try:
            self._threads = self._client.nthreads()
        except GONE as error:
            raise self._gone() from error
        if not self._threads and not self._told:
            self._told = True
            _log.warning("no worker yet at %s; waiting for one", mask(self._address))
        if new := set(self._threads) - self._asked:
            # a worker that dies while it is asked is no lost scheduler; what is not asked now, is the next time
            with suppress(*GONE):
                for worker, difference in differences(self._client, new, self._ask, self._facts).items():
                    self._refuse(worker, difference)
                self._asked |= new
                self._share(new & self._allowed)
        stuck = [
            future
            for future, each in self._submitted.items()
            if each.workers is not None and each.workers.isdisjoint(self._threads)
        ]
        for future in stuck:
            submitted = self._submitted.pop(future)
            future.cancel()
            self._submit(submitted.job, submitted.tries)

    def _share(self, workers: Iterable[str]) -> None:
        """Have workers hold what is shared: Dask prefers those that have what a task needs, and one would do all."""
        if self._shared is not None:
            for worker in workers:
                self._held.append(
                    self._client.submit(_nothing, self._shared, workers=[worker], allow_other_workers=False, pure=False)
                )

    def _refuse(self, worker: str, difference: str) -> None:
        """Give a worker no job any more."""
        if worker not in self._wrong:
            self._wrong[worker] = (
                f"worker {worker} has {difference}: results would not be the same; install the same there"
            )
            _log.warning("%s; until then it gets no recording", self._wrong[worker])

    def _check_connected(self) -> None:
        """Raise EdgeaudioError if the client has lost the scheduler; it forgets all futures then."""
        if self._client.status != "running":
            raise self._gone()

    def _gone(self) -> EdgeaudioError:
        return EdgeaudioError(
            f"{mask(self._address)}: the scheduler of Dask is gone; what is done is kept: start it, then run again"
        )


def _identity(value: object) -> object:
    return value


def _nothing(_: object) -> None:
    """What needs the shared value on a worker, and costs nothing."""


@contextmanager
def _large_graphs() -> Iterator[None]:
    """Keep Dask from advising against what is meant."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sending large graph")
        yield
