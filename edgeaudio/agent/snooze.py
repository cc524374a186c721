"""How long a label is snoozed: by both clocks, so that no step of the system clock makes a snooze endless. Pure.

Owns: the end of one snooze, and how it is kept over restarts.
Does not know: labels, commands, what a snooze does (recognise/suppression.py).

The monotonic clock says when a snooze of this process ends, and its UTC follows the system clock. After a restart it
ends at that UTC. A machine without a clock of its own may then be in the past, and be set forward later. Until it is,
what was left counts, which is noted every NOTE_S; what may have passed since the last note counts as passed. So an
agent runs with a snooze no longer than the snooze is long.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Self

NOTE_S = 600.0
_STEP_S = 1.0  # below, the clock is being slewed, or nothing happened


@dataclass(frozen=True, slots=True)
class Snooze:
    """One snooze. `now` and `now_s` are the same moment, aware UTC and monotonic seconds."""

    until: datetime
    until_s: float
    noted_s: float  # what `stored` says that is left
    restored: bool = False  # begun by an earlier process: UTC may end it sooner

    @classmethod
    def begin(cls, duration_s: float, now: datetime, now_s: float) -> Self:
        """Begin a snooze now."""
        return cls(now + timedelta(seconds=duration_s), now_s + duration_s, duration_s)

    @classmethod
    def restore(cls, text: str, now: datetime, now_s: float) -> Self | None:
        """Parse what `stored` returned; None if that snooze is over, or the text means nothing."""
        try:
            values = json.loads(text)
            until, noted_s = datetime.fromisoformat(values["until"]), float(values["left_s"])
            left_s = (until - now).total_seconds()
        except (ValueError, TypeError, KeyError):
            return None
        if not left_s <= noted_s + _STEP_S:  # the clock is behind
            left_s = noted_s - NOTE_S
        left_s = min(left_s, noted_s)  # never longer than it was, by a clock that is behind a little
        return cls(until, now_s + left_s, left_s, restored=True) if left_s > 0 else None

    def stored(self) -> str:
        """Return it as a text for `restore`."""
        return json.dumps({"until": self.until.isoformat(), "left_s": self.noted_s})

    def is_over(self, now_s: float) -> bool:
        """True if it has ended."""
        return now_s >= self.until_s

    def followed(self, now: datetime, now_s: float) -> Snooze:
        """Return it with what has changed: its times if the system clock was stepped, the note if that is due."""
        found = self
        step_s = (self.until - now).total_seconds() - (self.until_s - now_s)
        if self.restored and step_s <= -_STEP_S:
            found = replace(found, until_s=self.until_s + step_s)
        elif not self.restored and abs(step_s) >= _STEP_S:
            found = replace(found, until=self.until - timedelta(seconds=step_s))
        left_s = found.until_s - now_s
        return replace(found, noted_s=left_s) if found.noted_s - left_s >= NOTE_S else found
