"""When live messages are not sent, because connections may have ended over them. Pure.

Owns: the pause, and how it grows. Does not know: MQTT; times are monotonic seconds, handed in.

A broker may answer a denied topic by closing the connection (quarantine.py). What else is sent is tried alone, to find
the culprit; live messages are not worth that. After a second connection that ended while they were sent they pause, for
longer each time, and so delay nothing. The first may have ended by chance: brokers restart.
"""

from __future__ import annotations

import logging
import math

from edgeaudio.backoff import Backoff

log = logging.getLogger(__name__)

_FIRST_S = 10.0
_LAST_S = 6 * 3600.0
_SUSPECT_S = 2.0  # after which the connection did not end over a message
_STEADY_S = 60.0  # of sending that clears them


class LivePause:
    """The pause of live messages over all connections of an agent."""

    def __init__(self) -> None:
        self._backoff = Backoff(_FIRST_S, _LAST_S)
        self._is_suspect = False
        self._until = -math.inf
        self._sent_at = -math.inf

    def is_over(self, now: float) -> bool:
        """True if live messages may be sent."""
        return now >= self._until

    def sent(self, now: float) -> None:
        """Note that a live message is being sent."""
        self._sent_at = now
        if now - self._until >= _STEADY_S:
            self._backoff.reset()
            self._is_suspect = False

    def connection_ended(self, now: float) -> None:
        """Note that the broker ended the connection: live messages that were just sent are suspect, or pause."""
        if now - self._sent_at >= _SUSPECT_S:
            return
        pause_s = self._backoff.next_s() if self._is_suspect else 0.0
        self._is_suspect = True
        self._until = now + pause_s
        if pause_s:
            log.warning(
                "live views pause for %.0f s: the broker ended the connection while they were sent; see whether its "
                "access rules allow <source>/live, <source>/live/audio and <source>/scores",
                pause_s,
            )
