"""When a live connection is read, so that its reader wakes up once a period and not once a packet.

What arrives between two reads waits in the socket's receive buffer. A read ends with the frame that completes a period
of sound. That frame is waited for, so the time at which it arrived is exact; the others count as received when they are
read, at most one period late. A reader that is behind the newest sound does not rest until it has caught up.

Owns: where reads end, how long a connection rests after one, and how far a reader is behind. Pure.
Does not know: clocks, sockets, timestamps, which may be wrong.
"""

from __future__ import annotations

from math import floor, inf

# of one stream, between two reads: a sender must never wait for room, and Linux's receive window begins at 64 KiB
MAX_BUFFERED_BYTES = 24_576
# reading begins before the last frame is due
EARLY_S = 0.005
# behind a period's end: frames go across it, and resampling looks ahead
_MARGIN_S = 0.03
MIN_PERIOD_S = 0.05
_DRIFT = 0.001  # of the sender's clock, at most
_WINDOW_S = 0.5
_STEADY = 0.9  # of the time that sound takes to be made


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

    def rest_s(self, epoch_s: float, received: int, late_s: float) -> float | None:
        """Return how long to rest after frames; None while the read goes on.

        `epoch_s`: sound since the epoch began, up to their end; `received`: bytes of the connection so far;
        `late_s`: how far the reader is behind the newest sound.
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
        return max(0.0, self._end_s - epoch_s - EARLY_S - late_s)


class LiveEdge:
    """How far the reader of one connection is behind the newest sound.

    The least time that sound ever took from its place in the stream to the reader is that of a reader at the edge.
    What is missing in the stream, as after a pause of the sender, makes all that follows look late. So a reader that
    does not rest, and yet receives sound no faster than it is made, is at the edge, too.
    """

    def __init__(self) -> None:
        self._sound_s = 0.0  # received
        self._least_s = inf  # between a frame's end in the stream and its arrival
        self._window: tuple[float, float] | None = None  # arrival and sound at the beginning of a window without a rest

    def late_s(self, duration_s: float, now_s: float) -> float:
        """Add sound that is received at `now_s`; return how late it is."""
        self._sound_s += duration_s
        took_s = now_s - self._sound_s
        self._least_s = min(self._least_s + _DRIFT * duration_s, took_s)
        if self._window is None:
            self._window = now_s, self._sound_s
        elif self._sound_s - self._window[1] >= _WINDOW_S:
            if now_s - self._window[0] >= _STEADY * (self._sound_s - self._window[1]):
                self._least_s = took_s
            self._window = now_s, self._sound_s
        return took_s - self._least_s

    def rested(self) -> None:
        """Note that the reader has rested."""
        self._window = None
