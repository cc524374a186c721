"""Items that connections ended over, sent apart so that they delay nothing else. Pure.

Owns: suspicion, quarantine, and when a quarantined item is tried again.
Does not know: MQTT, how anything is sent, what an item holds; times are monotonic seconds, handed in.

Many brokers (AWS IoT, aedes, VerneMQ, HiveMQ) answer one denied topic, or a message that is too long for them, by
closing the connection. Resent together with others, such a message would keep everything else from ever arriving. So
what was in flight when a connection ended is *suspect*, and is sent alone from then on: acknowledged, it is cleared; if
that connection ends too, it is *quarantined*. It is tried again, alone, after 60 s, doubling to six hours.

Items of one family (a detection topic, or all thresholds) are likely to be treated alike. So while one is suspect the
others are sent alone too, until one of them is acknowledged; and two quarantined ones without an acknowledgement
between them make the whole family suspect: one more of its items decides for all the others.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from edgeaudio.backoff import Backoff

_RETRY_MIN_S = 60.0
_RETRY_MAX_S = 6 * 3600.0
_SOON_S = 600.0
_STRIKES = 2  # quarantined items that make their family suspect

Kind = Literal["detection", "state", "subscription"]


class Family(NamedTuple):
    """Items that a broker treats alike, since access rules are written for such."""

    kind: Kind
    topics: str  # a topic filter


@dataclass(frozen=True, slots=True)
class Item:
    """Something that can be sent: a detection by its number, state by its topic, a subscription by its filter."""

    family: Family
    key: int | str
    topic: str


@dataclass(slots=True)
class _Hold:
    """Nothing is sent before `until`; at first, at once."""

    until: float = -math.inf
    backoff: Backoff = field(default_factory=lambda: Backoff(_RETRY_MIN_S, _RETRY_MAX_S))
    since: float = -math.inf

    def extend(self, now: float) -> None:
        self.since = now
        self.until = now + self.backoff.next_s()


class MessageQuarantine:
    """Every item is free, suspect, or quarantined (by itself or with its family)."""

    def __init__(self) -> None:
        self._suspects: set[Item] = set()
        self._holds: dict[Item, _Hold] = {}
        self._families_of_suspects: set[Family] = set()  # until one of the family is acknowledged
        self._suspect_families: dict[Family, _Hold] = {}
        self._strikes: Counter[Family] = Counter()  # quarantined items since the last acknowledgement

    @property
    def items(self) -> tuple[Item, ...]:
        """Every item that is quarantined by itself."""
        return tuple(self._holds)

    @property
    def suspects(self) -> tuple[Item, ...]:
        return tuple(self._suspects)

    def has_untried(self, now: float) -> bool:
        """True if a suspect is still to be sent alone."""
        return any(not self.holds(item, now) for item in self._suspects)

    def is_family_suspect(self, item: Item) -> bool:
        """True if one item of this one's family is to decide for all of it."""
        return item.family in self._suspect_families

    def must_be_alone(self, item: Item) -> bool:
        """True if the item may be sent only while nothing else is in flight."""
        family = item.family
        return (
            item in self._suspects
            or item in self._holds
            or family in self._suspect_families
            or family in self._families_of_suspects
        )

    def holds(self, item: Item, now: float) -> bool:
        """True if the item is not to be sent now."""
        if (family := self._suspect_families.get(item.family)) is not None:
            # an item that is quarantined by itself proves nothing about its family
            return now < family.until or item in self._holds
        hold = self._holds.get(item)
        return hold is not None and now < hold.until

    def held_families(self, now: float) -> tuple[Family, ...]:
        """Return the families of which nothing is to be sent now."""
        return tuple(family for family, hold in self._suspect_families.items() if now < hold.until)

    def blame(self, in_flight: Collection[Item], now: float) -> list[Item]:
        """Note what was in flight when a connection ended; return what is quarantined for the first time."""
        new: list[Item] = []
        for item in in_flight:
            if item not in self._suspects and item not in self._holds and item.family not in self._suspect_families:
                self._suspects.add(item)
                self._families_of_suspects.add(item.family)
                continue
            self._suspects.discard(item)
            if item not in self._holds:
                new.append(item)
                self._strikes[item.family] += 1
            self._holds.setdefault(item, _Hold()).extend(now)
            if item.family in self._suspect_families:
                self._suspect_families[item.family].extend(now)
            elif self._strikes[item.family] >= _STRIKES:
                self._suspect_families[item.family] = _Hold()
        return new

    def hold(self, item: Item, now: float, *, first_s: float = _RETRY_MIN_S) -> None:
        """Quarantine an item that is refused for its own sake, not for its family's; the first time for `first_s`."""
        self._suspects.discard(item)
        self._holds.setdefault(item, _Hold(backoff=Backoff(first_s, _RETRY_MAX_S))).extend(now)

    def clear(self, item: Item) -> bool:
        """Note that the broker answered: neither the item nor its family is to blame. Return whether it was suspect."""
        was_suspect = self.must_be_alone(item)
        self.forget(item)
        self._families_of_suspects.discard(item.family)
        self._strikes.pop(item.family, None)
        self._suspect_families.pop(item.family, None)
        return was_suspect

    def forget(self, item: Item) -> None:
        """Drop an item that will not be sent again."""
        self._suspects.discard(item)
        self._holds.pop(item, None)

    def retry_soon(self, now: float) -> None:
        """Try everything again, still alone: the broker was away, and its rules may have changed.

        Not what was tried in the last ten minutes: the broker may have crashed over it.
        """
        for hold in (*self._holds.values(), *self._suspect_families.values()):
            if now - hold.since >= _SOON_S:
                hold.until = -math.inf

    def next_due(self, now: float) -> float:
        """Return when something that is held now is to be tried again; infinity: never."""
        holds = (*self._holds.values(), *self._suspect_families.values())
        return min((hold.until for hold in holds if hold.until > now), default=math.inf)
