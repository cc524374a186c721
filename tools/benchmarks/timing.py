"""Timing of several works in turn, so that a machine whose speed drifts favours none.

Owns: the rounds and the medians. Does not know: what is timed.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

ROUNDS = 15


def cpu_s(works: Mapping[str, Callable[[], object]], *, rounds: int = ROUNDS) -> dict[str, float]:
    """Return the median CPU seconds of each work, of this process and all its threads; each is run once before."""
    for work in works.values():
        work()
    found: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            begin_s = time.process_time()
            work()
            found[name].append(time.process_time() - begin_s)
    return {name: statistics.median(durations) for name, durations in found.items()}
