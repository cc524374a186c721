"""When a live connection is read, so that its reader wakes up once a period and not once a packet.

What arrives between two reads waits in the socket's receive buffer. A read ends with the frame that completes a period
of sound; that frame is waited for, so its arrival time is exact, and the timeline follows the sender's clock by it. The
other frames of a read count as received at its beginning, at most one period late: an epoch that begins with one of
them is dated so much too late, and a pause of the sender before one of them looks that much shorter.

Owns: where reads end, and how long a connection rests after one. Pure. Does not know: clocks, sockets.
"""

from __future__ import annotations

from math import floor

# of one stream, between two reads: a sender must never wait for room, and Linux's receive window begins at 64 KiB
MAX_BUFFERED_BYTES = 24_576
# reading begins before the last frame is due
EARLY_S = 0.02
# behind a period's end: frames go across it, and resampling looks ahead
_MARGIN_S = 0.03
MIN_PERIOD_S = 0.06


class DrainSchedule:
    """Schedule of one connection."""

    def __init__(self, period_s: float) -> None:
        """`period_s`: seconds of sound from one read to the next."""
        self._period_s = period_s
        self._epoch_s = 0.0  # sound of the epoch at the end of the last read
        self._end_s = 0.0  # of the present read, in seconds of sound since the epoch began
        self._received = 0  # bytes, up to the end of the last read

    def rest_s(self, epoch_s: float, received: int, late_s: float) -> float | None:
        """Return how long to rest after a frame; None while the read goes on.

        `epoch_s`: sound since the epoch began, up to the end of that frame; `received`: bytes of the connection so far;
        `late_s`: how long ago the end of the frame was due.
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
        return max(0.0, self._end_s - epoch_s - late_s - EARLY_S)
