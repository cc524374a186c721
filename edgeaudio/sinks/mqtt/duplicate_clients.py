"""Another client with the same id: two devices of one name, each of which ends the connection of the other.

Owns: what makes one likely, and the words about it. Pure. Does not know: connections, the format of health reports.

Not every broker reports it (MQTT 5: 0x8E; Mosquitto 2.0.11 does not, and over MQTT 3.1.1 none can). Where connections
end without a reason time and again, the sender subscribes to the device's own health topic, on which the broker retains
what the other device published.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from edgeaudio.health.broker import BrokerReason

_LIKELY = 3  # connections that ended so
_WITHIN_S = 600.0
_PRESENT_S = 600.0  # after its last sign, it may still be there
_MAX_ENDS = 1000


class DuplicateClients:
    """What is known of other clients with the same id. Times are monotonic seconds."""

    def __init__(self, duplicate_of: Callable[[bytes], str | None] | None) -> None:
        """`duplicate_of`: from a health report on this device's topic, the host of another agent, or None."""
        self._duplicate_of = duplicate_of
        self._ends: deque[float] = deque(maxlen=_MAX_ENDS)  # of connections that it may have ended
        self._certain = False  # the broker reported it
        self._host = ""
        self._last_s = float("-inf")

    def suspected_after(self, reason: BrokerReason, now: float) -> bool:
        """Note why a connection ended; return whether to subscribe to the health topic."""
        if reason not in {BrokerReason.CLOSED, BrokerReason.TAKEN_OVER} or self._duplicate_of is None:
            return False
        self._ends.append(now)
        if reason is BrokerReason.TAKEN_OVER:
            self._certain, self._last_s = True, now
        return self._lately(now) >= _LIKELY

    def read(self, report: bytes, now: float) -> None:
        """Note a message of the health topic."""
        if self._duplicate_of is not None and (host := self._duplicate_of(report)) is not None:
            self._host, self._last_s = host, now

    def describe(self, now: float) -> str | None:
        """Return one clause about the other client while it may still be there; None: there is none."""
        if now - self._last_s > _PRESENT_S or not (self._certain or self._host):
            return None
        where = f" on {self._host}" if self._host else ""
        times = self._lately(now)
        often = "once" if times == 1 else f"{times} times"
        return f"another agent of this name{where} takes over the connection, {often} of late"

    def _lately(self, now: float) -> int:
        return sum(now - end <= _WITHIN_S for end in self._ends)
