"""Jobs of the tests of runners: a number, and what it does to the process that runs it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgeaudio.archive.work import Work
from edgeaudio.errors import EdgeaudioError


@dataclass(frozen=True)
class Sum:
    """A job."""

    number: int
    folder: Path  # where a line is written for each time that it is run, and files that it waits for
    harm: str = ""  # "kill", "kill once", "raise", "refuse", "wait", "wait for another", "fetch", "fetch long"


@dataclass(frozen=True)
class Squared:
    """An outcome."""

    number: int
    square: int | None = None
    error: str | None = None
    pid: int = 0


def square(job: Sum) -> Squared:
    with (job.folder / "runs").open("a") as runs:
        runs.write(f"{job.number}\n")
    match job.harm:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "kill once":
            once = job.folder / f"killed-{job.number}"
            if not once.exists():
                once.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        case "raise":
            raise RuntimeError("a fault\nof two lines")
        case "refuse":
            raise EdgeaudioError("the recording is empty; leave it out")
        case "wait for another":  # process: where one would do all, it gives up
            (job.folder / f"process-{os.getpid()}").touch()
            give_up_s = time.monotonic() + 20
            while len(list(job.folder.glob("process-*"))) < 2 and time.monotonic() < give_up_s:
                time.sleep(0.01)
        case "wait":
            while not (job.folder / "go").exists():
                time.sleep(0.01)
    return Squared(job.number, job.number**2, pid=os.getpid())


def failed(job: Sum, reason: str) -> Squared:
    return Squared(job.number, error=reason)


@contextmanager
def fetch(job: Sum) -> Iterator[Sum]:
    if job.harm == "fetch":
        raise EdgeaudioError("the bucket is gone")
    held = job.folder / f"held-{job.number}"
    held.touch()
    while job.harm == "fetch long":
        time.sleep(0.01)
    try:
        yield job
    finally:
        held.unlink()


WORK = Work(run=square, failed=failed, fetch=fetch)


def runs(folder: Path) -> list[int]:
    """Return the numbers of the jobs in the order in which they were run."""
    file = folder / "runs"
    return list(map(int, file.read_text().split())) if file.exists() else []
