"""How far a process has come with its job: from the job to whoever shows it.

Owns: the one listener of a process, and how often it is told. Does not know: jobs, pipes, how it is shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Advance:
    """What is done of a recording that is listened to."""

    heard_s: float
    share: float  # of the recording, 0 to 1; 0 where its length is not known


class _Listener:
    """Who is told in this process; nobody, unless it runs jobs for a parent."""

    tell: Callable[[Advance], None] | None = None
    told_s = 0.0  # on the monotonic clock


def listen(tell: Callable[[Advance], None]) -> None:
    """Have `tell` called with each advance of the jobs of this process, in the thread of the job."""
    _Listener.tell = tell


def advance(heard_s: float, length_s: float | None) -> None:
    """Tell the listener, if there is one, at most each EVERY_S. `length_s`: of the recording, as its header has it."""
    now_s = time.monotonic()
    if _Listener.tell is None or now_s - _Listener.told_s < EVERY_S:
        return
    _Listener.told_s = now_s
    _Listener.tell(Advance(heard_s, min(1.0, heard_s / length_s) if length_s else 0.0))
