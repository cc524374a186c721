"""How long to wait between tries: the one back-off of all that tries again."""

from __future__ import annotations

import math
from dataclasses import dataclass

_MAX_DOUBLINGS = 64  # far beyond any `last_s`; 2.0 ** 1024 would raise OverflowError


@dataclass(slots=True)
class Backoff:
    """Delays in seconds after failures in a row: `first_s`, doubling to `last_s`. Who uses it adds the jitter."""

    first_s: float
    last_s: float
    failures: int = 0

    def next_s(self, at_most_s: float = math.inf) -> float:
        """Count a failure, and return the delay after it, which is `at_most_s` long."""
        delay_s = self.first_s * 2.0 ** min(self.failures, _MAX_DOUBLINGS)
        self.failures += 1
        return min(delay_s, self.last_s, at_most_s)

    def reset(self) -> None:
        """Begin anew: something went well."""
        self.failures = 0

    def exhaust(self) -> None:
        """Have the next delay be the last one."""
        self.failures = max(self.failures, _MAX_DOUBLINGS)
