"""How fast messages may go out: a token bucket whose rate follows what the broker takes. Pure.

Owns: the rate. Does not know: messages; times are monotonic seconds, handed in.

Brokers that throttle (AWS IoT: 100 publishes a second) discard what is above their limit and say nothing, so the limit
has to be found. The rate begins low and doubles with each second of work without a loss, up to the maximum; a loss
halves it and is remembered as a ceiling, which then rises by a tenth every ten minutes. What may go at once after a
pause shrinks with the rate.

Other brokers close the connection instead. A connection that ended over nothing that was in flight may have ended over
the pace, or for the line's sake: so half of what went out in its last second is tried, and half of that. If connections
end still, it is not the pace, and for ten minutes that is not asked again.
"""

from __future__ import annotations

import math
from collections import deque

_START_PER_S = 50.0
_LEAST_PER_S = 1.0
_DOUBLING_S = 1.0
_CEILING_RISE = 1.1
_CEILING_RISE_S = 600.0
_BURST_S = 0.2  # of the rate may go at once
_ROUNDING = 1e-9
_TRIES = 4  # halvings, before it is taken for the line's fault
_LINE_S = 600.0
_RECENT_S = 1.0


class Pace:
    """Tokens for messages: at most `burst_max` at once, then `rate_per_s`."""

    def __init__(self, *, rate_max_per_s: float, burst_max: int) -> None:
        self._rate_max_per_s = rate_max_per_s
        self._ceiling_per_s = rate_max_per_s
        self._rate_per_s = min(_START_PER_S, rate_max_per_s)
        self._burst_max = burst_max
        self._tokens = self._burst
        self._filled_at = 0.0
        self._busy_s = 0.0  # time spent sending at the present rate
        self._ceiling_at = 0.0
        self._sent: deque[float] = deque()  # times, of the last second
        self._now = -math.inf
        self._tries = 0  # halvings by `closed`, since one helped
        self._ceiling_before_per_s = rate_max_per_s
        self._line_until = -math.inf

    @property
    def rate_per_s(self) -> float:
        return self._rate_per_s

    def wait_s(self, now: float) -> float:
        """Return the time until the next message may go; 0: now."""
        self._fill(now)
        return 0.0 if self._tokens >= 1.0 - _ROUNDING else (1.0 - self._tokens) / self._rate_per_s

    def take(self) -> None:
        """Spend a token; `wait_s` must have been 0."""
        self._tokens -= 1.0
        self._sent.append(self._now)
        self._busy_s += 1.0 / self._rate_per_s
        if self._busy_s >= _DOUBLING_S and self._rate_per_s < self._ceiling_per_s:
            self._busy_s = 0.0
            self._rate_per_s = min(self._ceiling_per_s, self._rate_per_s * 2)

    def lost(self, now: float) -> None:
        """Slow down: the broker discarded messages, or said that they come too fast."""
        self._rate_per_s = self._ceiling_per_s = max(_LEAST_PER_S, self._rate_per_s / 2)
        self._ceiling_at = now
        self._busy_s = 0.0
        self._tokens = min(self._tokens, 0.0)

    def recent(self, now: float) -> int:
        """Return how many messages went out in the last second."""
        while self._sent and self._sent[0] < now - _RECENT_S:
            self._sent.popleft()
        return len(self._sent)

    def closed(self, recent: int, now: float) -> None:
        """Note that a connection ended after so many messages in its last second, and over none of them."""
        if recent < 2 or now < self._line_until:
            return
        if self._tries == _TRIES:
            self._tries, self._line_until = 0, now + _LINE_S
            self._ceiling_per_s = self._ceiling_before_per_s
            return
        if self._tries == 0:
            self._ceiling_before_per_s = self._ceiling_per_s
        self._tries += 1
        self._rate_per_s = recent
        self.lost(now)

    def lasted(self) -> None:
        """Note that a connection lasts: the pace is right."""
        self._tries = 0

    @property
    def _burst(self) -> float:
        return max(1.0, min(self._burst_max, self._rate_per_s * _BURST_S))

    def _fill(self, now: float) -> None:
        self._tokens = min(self._burst, self._tokens + max(0.0, now - self._filled_at) * self._rate_per_s)
        self._filled_at = self._now = now
        self.recent(now)
        if self._ceiling_per_s < self._rate_max_per_s and now - self._ceiling_at >= _CEILING_RISE_S:
            self._ceiling_at = now
            self._ceiling_per_s = min(self._rate_max_per_s, self._ceiling_per_s * _CEILING_RISE)
