"""What is done with a job, for runners that do not know what a job is.

A job, its outcome and the functions here cross borders of processes and machines: all of them are pickled. Functions
are therefore those of a module, or `functools.partial` of such.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Generic, TypeVar

Job = TypeVar("Job")
Outcome = TypeVar("Outcome")


@dataclass(frozen=True, slots=True)
class Work(Generic[Job, Outcome]):
    """How a job becomes an outcome."""

    run: Callable[[Job], Outcome]  # in a process of its own
    failed: Callable[[Job, str], Outcome]  # of a job that could not be run, with the reason in a line
    # of a job for want of a process that can work: no other would have one; None: as `failed`
    unstarted: Callable[[Job, str], Outcome] | None = None
    # what can be done while the job before runs, such as fetching the recording; what it yields is the job to run
    fetch: Callable[[Job], AbstractContextManager[Job]] = nullcontext
