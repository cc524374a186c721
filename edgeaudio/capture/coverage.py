"""Seconds heard and seconds lost of one source, which add up to the wall clock by construction.

All times are those of one monotonic clock, passed in by the caller.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CoverageTotals:
    """`heard_s + lost_s == accounted_s`. Neither ever shrinks.

    While sound comes, both end with the latest sample: what is still under way is in neither.
    """

    accounted_s: float
    heard_s: float

    @property
    def lost_s(self) -> float:
        """Seconds without sound."""
        return self.accounted_s - self.heard_s


class Coverage:
    """Intervals heard and lost, counted in order; time once counted as lost stays lost."""

    def __init__(self, start_s: float) -> None:
        self._start_s = start_s
        self._until_s = start_s
        self._heard_s = 0.0

    def hear(self, begin_s: float | None, end_s: float, *, filled_s: float, now_s: float) -> None:
        """Count sound from `begin_s` to `end_s`, of which `filled_s` are silence in place of lost sound.

        `begin_s` is None if the sound continues the interval before.
        """
        begin_s = self._until_s if begin_s is None else max(begin_s, self._until_s)
        end_s = min(end_s, now_s)
        if end_s <= begin_s:
            return
        self._heard_s += max(0.0, end_s - begin_s - filled_s)
        self._until_s = end_s

    def lose(self, now_s: float) -> None:
        """Count everything up to `now_s` that was not heard as lost."""
        self._until_s = max(self._until_s, now_s)

    def totals(self) -> CoverageTotals:
        """Return the totals so far."""
        return CoverageTotals(self._until_s - self._start_s, self._heard_s)
