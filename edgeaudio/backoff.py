"""Back-off: the delays between retries."""

from __future__ import annotations

import math
from dataclasses import dataclass

_MAX_DOUBLINGS = 64  # far beyond any `last_s`; 2.0 ** 1024 would raise OverflowError


@dataclass(slots=True)
class Backoff:
    """Delays in seconds after failures in a row: `first_s`, doubling to `last_s`. The caller adds the jitter."""

    first_s: float
    last_s: float
    failures: int = 0

    def next_s(self, at_most_s: float = math.inf) -> float:
        """Count a failure, and return the delay after it, at most `at_most_s`."""
        delay_s = self.first_s * 2.0 ** min(self.failures, _MAX_DOUBLINGS)
        self.failures += 1
        return min(delay_s, self.last_s, at_most_s)

    def reset(self) -> None:
        """Begin with the first delay again, after a success."""
        self.failures = 0

    def exhaust(self) -> None:
        """Make the next delay the last one."""
        self.failures = max(self.failures, _MAX_DOUBLINGS)
