"""When a live connection is read, so that its reader wakes up once a period and not once a packet.

What arrives between two reads waits in the socket's receive buffer. A read ends behind a period's end, with a packet
that had to be waited for: then nothing is left in the buffer, and the time of that packet's arrival is exact. Only
sound that comes steadily may wait. After a disturbance each packet is read when it arrives, until the sound has been
steady for a while.

Owns: where reads end, how long a connection rests after one, and what is steady. Pure.
Does not know: clocks, sockets, timestamps.
"""

from __future__ import annotations

from math import floor

# of one stream, between two reads: a sender must never wait for room, and Linux's receive window begins at 64 KiB
MAX_BUFFERED_BYTES = 24_576
# reading begins before the last packet is due
EARLY_S = 0.02
# behind a period's end: frames go across it, and resampling looks ahead
_MARGIN_S = 0.03
MIN_PERIOD_S = 0.05
SETTLE_S = 5.0
# by which sound may come earlier and later: packets that are sent in groups, and the network
JITTER_S = 0.2
COMPARED = 10  # reads, before it is known how late their ends are


class DrainSchedule:
    """Schedule of one connection."""

    def __init__(self, period_s: float) -> None:
        """`period_s`: seconds of sound from one read to the next."""
        self._period_s = period_s
        self._epoch_s = 0.0  # sound of the epoch at the end of the last read
        self._end_s = 0.0  # of the present read, in seconds of sound since the epoch began
        self._received = 0  # bytes, up to the end of the last read

    def missing_s(self, epoch_s: float) -> float:
        """Return the seconds of sound until the present read, or the next one after a rest, ends."""
        return max(0.0, self._end_s - epoch_s)

    def rest_s(self, epoch_s: float, received: int) -> float | None:
        """Return how long to rest after frames; None while the read goes on.

        `epoch_s`: sound since the epoch began, up to their end; `received`: bytes of the connection so far.
        """
        if epoch_s < self._epoch_s:  # a new epoch
            self._epoch_s = self._end_s = 0.0
        if epoch_s < self._end_s:
            return None
        n_bytes, sound_s = received - self._received, epoch_s - self._epoch_s
        self._received, self._epoch_s = received, epoch_s
        # without bytes, as after a burst, it is not known yet how much a period brings
        period_s = min(self._period_s, MAX_BUFFERED_BYTES * sound_s / n_bytes) if n_bytes > 0 else MIN_PERIOD_S
        self._end_s = (floor((epoch_s - _MARGIN_S) / period_s) + 1) * period_s + _MARGIN_S
        return max(0.0, self._end_s - epoch_s - EARLY_S)


class Steadiness:
    """Whether the sound of a connection comes as fast as it is made, and has done so for SETTLE_S.

    While it is steady, a read ends with a packet that had to be waited for. Where packets are sent in groups, that is
    the first of a group, which is late by the length of the group; the last one is never seen to arrive. How late it is
    shows when reading by periods begins, beside the packets that were seen before.
    """

    def __init__(self) -> None:
        self.is_steady = False
        self._sound_s = 0.0  # received
        self._since_s: float | None = None  # arrival of the first sound that counts
        self._least_s = self._most_s = 0.0  # between sound and its arrival, since then, until it was steady
        self._late_s = 0.0  # the end of a read, beside the earliest packets
        self._n_compared = 0  # reads

    def arrival_s(self, duration_s: float, arrived_s: float, *, has_waited: bool = True) -> float:
        """Add sound that a read brought; return when the earliest packets would have arrived in its place.

        `arrived_s`: when its last packet arrived, a moment of any clock that does not step; `has_waited`: it was waited
        for.
        """
        self._sound_s += duration_s
        took_s = arrived_s - self._sound_s
        if self.is_steady:
            return arrived_s - self._lateness_s(took_s) if has_waited else arrived_s
        self._least_s, self._most_s = min(self._least_s, took_s), max(self._most_s, took_s)
        if self._since_s is None or self._most_s - self._least_s > JITTER_S:
            self._since_s, self._least_s, self._most_s = arrived_s, took_s, took_s
        if arrived_s - self._since_s >= SETTLE_S:
            self.is_steady, self._late_s, self._n_compared = True, self._most_s - self._least_s, 0
        return arrived_s

    def disturb(self) -> None:
        """Begin to wait for steady sound anew."""
        self.is_steady, self._since_s = False, None

    def _lateness_s(self, took_s: float) -> float:
        if self._n_compared < COMPARED:
            self._n_compared += 1
            self._late_s = min(self._late_s, max(0.0, took_s - self._least_s))
        return self._late_s
