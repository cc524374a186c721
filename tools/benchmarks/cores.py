"""Which processor core is measured, and which are left to servers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

_CORES = sorted(os.sched_getaffinity(0))
MEASURED = frozenset(_CORES[-1:])
SERVERS = frozenset(_CORES[:-1] or _CORES)  # the same one, where there is only one


@contextmanager
def pinned(cores: frozenset[int] = MEASURED) -> Iterator[None]:
    """Keep this thread, and the processes and threads that it starts, on these cores until the block ends."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
