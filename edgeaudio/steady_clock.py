"""Whether the system clock may be believed when something is removed for its age.

Owns: how long a clock must have stood since the start and since its last step. Does not know: what is removed.

A board without a battery, or with an empty one, starts in any year, and stays there until NTP sets it. What is removed
in that time is gone, and what is removed some hours late does no harm: bytes and disk have limits of their own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from edgeaudio.system_clock import is_synchronised

STEP_S: Final = 3600.0  # by less, a clock that steps makes nothing old
STEADY_S: Final = 6 * 3600.0
UNSYNCHRONISED_S: Final = 7 * 86_400.0  # where the system says that nothing has set the clock


class SteadyClock:
    """The system clock, and how long it has stood. `look` must be called now and then."""

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        synchronised: Callable[[], bool | None] = is_synchronised,
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._synchronised = synchronised
        self._since_s = monotonic()
        self._offset_s = wall() - self._since_s

    def now_s(self) -> float:
        """Return the Unix time."""
        return self._wall()

    def look(self) -> None:
        """Note whether the clock was stepped."""
        now_s = self._monotonic()
        offset_s = self._wall() - now_s
        if abs(offset_s - self._offset_s) > STEP_S:
            self._since_s = now_s
        self._offset_s = offset_s  # small steps and drift do not add up

    def is_believed(self, enough_s: float) -> bool:
        """True if the clock has stood long enough; `enough_s`: by which it may be wrong without harm."""
        self.look()
        needed_s = UNSYNCHRONISED_S if self._synchronised() is False else STEADY_S
        return self._monotonic() - self._since_s >= min(needed_s, enough_s)
