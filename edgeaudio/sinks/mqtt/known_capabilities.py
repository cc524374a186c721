"""What the broker offered on earlier connections, and for how long that is relied on. Pure.

What a broker turned out to lack (MQTT 5, retained messages, QoS 1) is not asked of it for an hour, and then, at a
reconnection, asked again: it may have been updated, or the finding may have been wrong. One that spoke 5 is, for an
hour after that, not taken for an older one because it hangs up or is silent: denied messages would be lost unnoticed.
"""

from __future__ import annotations

from edgeaudio.sinks.mqtt.events import Capabilities

KNOWN_S = 3600.0


class KnownCapabilities:
    """The latest capabilities of the broker. Times are monotonic seconds."""

    def __init__(self) -> None:
        self.latest: Capabilities | None = None
        self._until = 0.0

    def current(self, now: float) -> Capabilities | None:
        """Return what to rely on; None: nothing is known, or the knowledge is too old."""
        return self.latest if now < self._until else None

    def learn(self, capabilities: Capabilities, now: float) -> None:
        """Note what the broker offers; the hour is that of the first time."""
        if capabilities != self.current(now):
            self._until = now + KNOWN_S
        self.latest = capabilities

    def confirm(self, now: float) -> None:
        """Note that a connection ended, until which the broker offered what is known: keep it if it is everything."""
        if self.latest == Capabilities():
            self._until = now + KNOWN_S
