"""Which events of one source are published: none of a snoozed label, and none while a label cools down. Pure.

Owns: the withheld events, why each is withheld, and how many were.
Does not know: models and scores (detector.py), clocks (the time comes in), until when a label is snoozed, and commands.

An event is withheld as a whole, its offset with its onset; one that was published keeps its offset. A sound that still
lasts when the snooze or the cooldown ends is published then, with the time of its beginning: an alarm that went on all
the while must not stay unheard.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from edgeaudio.types import Event


class Suppression(StrEnum):
    """Why an event is withheld."""

    SNOOZE = "snooze"
    COOLDOWN = "cooldown"


class Suppressor:
    """Snoozed and cooling labels of one source. Times are monotonic seconds."""

    def __init__(self, cooldowns_s: Mapping[str, float]) -> None:
        """`cooldowns_s`: seconds after the end of an event without another one, by label; 0 or absent: none."""
        self.snoozed: frozenset[str] = frozenset()
        self.counts = dict.fromkeys(Suppression, 0)  # events that were withheld, those released later included
        self._cooldowns_s = dict(cooldowns_s)
        self._ended_s: dict[str, float] = {}  # of labels with a cooldown: when the last published event ended
        self._withheld: dict[str, tuple[Event, Suppression]] = {}  # onsets, by id

    @property
    def cooldowns_s(self) -> Mapping[str, float]:
        """Cooldowns in force, by label; without those of 0."""
        return {label: cooldown_s for label, cooldown_s in self._cooldowns_s.items() if cooldown_s > 0}

    def set_cooldown(self, label: str, cooldown_s: float) -> None:
        """Change the cooldown of a label; one that is running ends earlier or later accordingly."""
        self._cooldowns_s[label] = cooldown_s

    def replace_cooldowns(self, cooldowns_s: Mapping[str, float]) -> None:
        """Change the cooldowns of all labels."""
        self._cooldowns_s = dict(cooldowns_s)

    def withhold(self, event: Event, now_s: float) -> Suppression | None:
        """Take the source's next event; return why it is withheld, None: it is to be published."""
        if event.kind == "offset":
            if (known := self._withheld.pop(event.id, None)) is not None:
                return known[1]
            if self._cooldowns_s.get(event.label):
                self._ended_s[event.label] = now_s
            return None
        reason = self._reason(event.label, now_s)
        if reason is not None:
            self.counts[reason] += 1
            self._withheld[event.id] = event, reason
        return reason

    def released(self, now_s: float) -> list[Event]:
        """Return the withheld onsets whose sound lasts and whose label may be published again."""
        if not self._withheld:
            return []
        found = [onset for onset, _ in self._withheld.values() if self._reason(onset.label, now_s) is None]
        for onset in found:
            del self._withheld[onset.id]
        return found

    def forget_withheld(self) -> None:
        """Forget the withheld events: their detector was reset, so their ends will not come."""
        self._withheld.clear()

    def _reason(self, label: str, now_s: float) -> Suppression | None:
        if label in self.snoozed:
            return Suppression.SNOOZE
        ended_s = self._ended_s.get(label)
        if ended_s is not None and now_s - ended_s < self._cooldowns_s.get(label, 0.0):
            return Suppression.COOLDOWN
        return None
