"""Jobs as they pass through a process that does not know what they are: only the process that runs one unpacks it.

A worker of Dask, and its scheduler, would otherwise import all that listens: 35 MB and a third of a second in each.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Generic

from edgeaudio.archive.work import Job, Outcome, Work


@dataclass(frozen=True, slots=True)
class PackedJob:
    """A job, and what the machine has for it that runs it."""

    content: bytes = field(repr=False)
    local: Any = None


@dataclass(frozen=True, slots=True)
class PackedOutcome:
    """The outcome of a job that was run."""

    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class NotRun:
    """Why a job has no outcome, in one line."""

    reason: str


@dataclass(frozen=True, slots=True)
class Packing(Generic[Job, Outcome]):
    """How jobs are packed and run. `localize` puts into a job what the machine has that runs it."""

    work: Work[Job, Outcome]
    localize: Callable[[Job, Any], Job]

    def packed_work(self) -> Work[PackedJob, PackedOutcome | NotRun]:
        """Return what is done with packed jobs; it imports nothing of what is packed until one is run."""
        content = pickle.dumps(self)
        return Work(run=_Run(content), failed=_not_run, fetch=_Fetch(content))

    def packed(self, job: Job) -> bytes:
        """Return a job as the content of a PackedJob."""
        return pickle.dumps(job)

    def outcome(self, job: Job, found: PackedOutcome | NotRun) -> Outcome:
        """Return what became of a job."""
        if isinstance(found, NotRun):
            return self.work.failed(job, found.reason)
        outcome: Outcome = pickle.loads(found.content)  # noqa: S301 (of a worker, which runs what we send it)
        return outcome


@dataclass(frozen=True, slots=True)
class _Fetch:
    packing: bytes

    @contextmanager
    def __call__(self, packed: PackedJob) -> Iterator[Any]:
        packing = _unpacked(self.packing)
        job = packing.localize(pickle.loads(packed.content), packed.local)  # noqa: S301 (what this process is for)
        with packing.work.fetch(job) as ready:
            yield ready


@dataclass(frozen=True, slots=True)
class _Run:
    packing: bytes

    def __call__(self, job: Any) -> PackedOutcome:  # noqa: ANN401 (what `_Fetch` unpacked)
        return PackedOutcome(pickle.dumps(_unpacked(self.packing).work.run(job)))


def _not_run(_: object, reason: str) -> NotRun:
    return NotRun(reason)


@lru_cache(maxsize=1)
def _unpacked(packing: bytes) -> Packing[Any, Any]:
    unpacked: Packing[Any, Any] = pickle.loads(packing)  # noqa: S301 (what this process is for)
    return unpacked
