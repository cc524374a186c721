"""Another client with our id: two devices of one name, which throw each other out for ever.

Owns: what makes one likely, and what is told of it. Pure. Does not know: connections, what a health report looks like.

Not every broker says it (MQTT 5: 0x8E; Mosquitto 2.0.11 does not, and over MQTT 3.1.1 none can). Where connections end
without a word time and again, the device's own health topic is listened to: the broker keeps there what the other one
reported.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from edgeaudio.health.broker import BrokerReason

_LIKELY = 3  # connections that ended so
_WITHIN_S = 600.0
_TOLD_S = 600.0  # since it was last heard of, it may still be there
_MOST = 1000


class DuplicateClients:
    """What is known of them. `duplicate_of`: by a health report on our topic, who else reports there."""

    def __init__(self, duplicate_of: Callable[[bytes], str | None] | None) -> None:
        self._duplicate_of = duplicate_of
        self._ends: deque[float] = deque(maxlen=_MOST)  # of connections that it may have ended
        self._certain = False  # the broker said it
        self._name = ""  # of its machine
        self._last_s = float("-inf")

    def suspected_after(self, reason: BrokerReason, now: float) -> bool:
        """Note why a connection ended; True if the health topic is worth listening to."""
        if reason not in {BrokerReason.CLOSED, BrokerReason.TAKEN_OVER} or self._duplicate_of is None:
            return False
        self._ends.append(now)
        if reason is BrokerReason.TAKEN_OVER:
            self._certain, self._last_s = True, now
        return self._lately(now) >= _LIKELY

    def read(self, report: bytes, now: float) -> None:
        """Note what stands on the health topic."""
        if self._duplicate_of is not None and (name := self._duplicate_of(report)) is not None:
            self._name, self._last_s = name, now

    def describe(self, now: float) -> str | None:
        """What to tell while it may still be there: of each of the two, which are connected in turn."""
        if now - self._last_s > _TOLD_S or not (self._certain or self._name):
            return None
        where = f" on {self._name}" if self._name else ""
        times = self._lately(now)
        often = "once" if times == 1 else f"{times} times"
        return f"another agent of this name{where} takes over the connection, {often} of late"

    def _lately(self, now: float) -> int:
        return sum(now - end <= _WITHIN_S for end in self._ends)
