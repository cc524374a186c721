"""How fast messages may go out: a token bucket whose rate follows what the broker takes. Pure.

Owns: the rate. Does not know: messages; times are monotonic seconds, handed in.

Brokers that throttle (AWS IoT: 100 publishes a second) discard what is above their limit without an error, so the
limit has to be found. On each connection the rate begins low and doubles with each second of sending without a loss, up
to the maximum; a loss halves it and becomes a ceiling, which then rises by a tenth every ten minutes. The burst after a
pause shrinks with the rate.

It begins low each time because all agents reconnect at once to a broker that was away.
"""

from __future__ import annotations

_START_PER_S = 50.0
_LEAST_PER_S = 1.0
_DOUBLING_S = 1.0
_CEILING_RISE = 1.1
_CEILING_RISE_S = 600.0
_BURST_S = 0.2  # of the rate may go at once
_ROUNDING = 1e-9


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

    @property
    def rate_per_s(self) -> float:
        return self._rate_per_s

    def begin(self) -> None:
        """Begin a new connection, at a low rate."""
        self._rate_per_s = min(self._rate_per_s, _START_PER_S)
        self._busy_s = 0.0
        self._tokens = min(self._tokens, self._burst)

    def wait_s(self, now: float) -> float:
        """Return the time until the next message may go; 0: now."""
        self._fill(now)
        return 0.0 if self._tokens >= 1.0 - _ROUNDING else (1.0 - self._tokens) / self._rate_per_s

    def has_spare(self, now: float) -> bool:
        """True if a message that may go now leaves a token for another."""
        self._fill(now)
        return self._tokens >= 2.0 - _ROUNDING

    def take(self) -> None:
        """Spend a token; `wait_s` must have been 0."""
        self._tokens -= 1.0
        self._busy_s += 1.0 / self._rate_per_s
        if self._busy_s >= _DOUBLING_S and self._rate_per_s < self._ceiling_per_s:
            self._busy_s = 0.0
            self._rate_per_s = min(self._ceiling_per_s, self._rate_per_s * 2)

    def lost(self, now: float) -> None:
        """Slow down: the broker discarded messages, or refused them as too fast."""
        self._rate_per_s = self._ceiling_per_s = max(_LEAST_PER_S, self._rate_per_s / 2)
        self._ceiling_at = now
        self._busy_s = 0.0
        self._tokens = min(self._tokens, 0.0)

    @property
    def _burst(self) -> float:
        return max(1.0, min(self._burst_max, self._rate_per_s * _BURST_S))

    def _fill(self, now: float) -> None:
        self._tokens = min(self._burst, self._tokens + max(0.0, now - self._filled_at) * self._rate_per_s)
        self._filled_at = now
        if self._ceiling_per_s < self._rate_max_per_s and now - self._ceiling_at >= _CEILING_RISE_S:
            self._ceiling_at = now
            self._ceiling_per_s = min(self._rate_max_per_s, self._ceiling_per_s * _CEILING_RISE)
