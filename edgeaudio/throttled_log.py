"""Throttling of log lines about a fault that lasts. Pure: times are monotonic seconds, handed in."""

from __future__ import annotations

from collections.abc import Iterable

REPEAT_S = 600.0


class LogThrottle:
    """A fault is logged when it is new, and again every `repeat_s` seconds while it lasts."""

    def __init__(self, repeat_s: float = REPEAT_S) -> None:
        self._repeat_s = repeat_s
        self._logged_s: dict[str, float] = {}  # by fault: when it was logged last

    @property
    def has_logged(self) -> bool:
        """True if any fault was logged and not forgotten since."""
        return bool(self._logged_s)

    def is_due(self, fault: str, now_s: float) -> bool:
        """True if `fault` is to be logged now, which then counts as logged."""
        logged_s = self._logged_s.get(fault)
        if logged_s is not None and now_s - logged_s < self._repeat_s:
            return False
        self._logged_s[fault] = now_s
        return True

    def keep_only(self, faults: Iterable[str]) -> None:
        """Forget all other faults: each is new when it occurs again."""
        kept = set(faults)
        self._logged_s = {fault: logged_s for fault, logged_s in self._logged_s.items() if fault in kept}
