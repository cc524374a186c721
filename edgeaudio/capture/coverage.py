"""Seconds heard and seconds lost of one source, which add up to the wall clock by construction.

Owns: the account of which part of the time since the start was covered by sound.
Does not know: why anything was lost. Pure: every time is handed in, on one monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CoverageTotals:
    """`heard_s + lost_s == accounted_s`. Neither ever shrinks.

    While sound comes, the account ends with the last of it: what is still on its way is in neither.
    """

    accounted_s: float
    heard_s: float

    @property
    def lost_s(self) -> float:
        return self.accounted_s - self.heard_s


class Coverage:
    """Books intervals in order; what was booked as lost is not won back by sound that comes late."""

    def __init__(self, start_s: float) -> None:
        self._start_s = start_s
        self._until_s = start_s
        self._heard_s = 0.0

    def hear(self, begin_s: float | None, end_s: float, *, filled_s: float, now_s: float) -> None:
        """Book sound from `begin_s` to `end_s`, of which `filled_s` are silence in place of what was lost.

        `begin_s` is None where the sound goes on from what was booked last.
        """
        begin_s = self._until_s if begin_s is None else max(begin_s, self._until_s)
        end_s = min(end_s, now_s)
        if end_s <= begin_s:
            return
        self._heard_s += max(0.0, end_s - begin_s - filled_s)
        self._until_s = end_s

    def lose(self, now_s: float) -> None:
        """Book everything up to `now_s` that has not been heard as lost."""
        self._until_s = max(self._until_s, now_s)

    def totals(self) -> CoverageTotals:
        return CoverageTotals(self._until_s - self._start_s, self._heard_s)
