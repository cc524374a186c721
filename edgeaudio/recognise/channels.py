"""Mixing of a source's channels into one signal.

Owns: the mix, the test for channels that cancel each other out, and the choice of one channel instead.
Does not know: levels, clips, where channels come from.

A microphone pair with one side inverted gives two channels whose mean is almost silent. `channel = "auto"` then takes
the loudest channel. The choice is made at the end of each measuring interval and holds from there on, so that it
depends on the samples alone, not on how they are split.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgeaudio.mixing import mean, mixed
from edgeaudio.types import Channel, Samples

# ratios of the mean's power to that of unrelated channels: below the first they cancel, above the second they do not
CANCEL_BELOW = 0.1
CANCEL_UNTIL = 0.4
# nothing is judged below this (-80 dBFS): converter noise has any phase
MIN_POWER = 1e-8
LEAVE_INTERVALS = 10  # intervals in a row without cancelling, after which the mean is taken again


class Mixer:
    """Mixer of one source. Call `mix` for all samples in order, and `judge` after each whole interval."""

    def __init__(self, channel: Channel = "auto") -> None:
        self.cancels = False  # the channels cancelled each other out in the last interval
        self._wanted = channel
        self._taken: int | None = None  # index of the channel taken instead of the mean
        self.judged = False  # some interval was loud enough to judge
        self._free = 0  # intervals in a row without cancelling

    @property
    def heard(self) -> Channel:
        """`"mix"`, or the number of the channel that is taken, from 1."""
        if isinstance(self._wanted, int):
            return self._wanted
        return "mix" if self._taken is None else self._taken + 1

    def mix(self, samples: Samples) -> Samples:
        """Return the signal `(n,)` of samples `(n,)` or `(n, channels)`, float32.

        A channel number beyond the last channel means the last.
        """
        return mixed(samples, self.heard)

    def judge(self, samples: Samples, powers: Sequence[float]) -> None:
        """Judge one interval: its samples `(n, channels)` and its channels' powers (mean squares without DC)."""
        n_channels = len(powers)
        if isinstance(self._wanted, int):
            return
        if n_channels < 2:
            self.cancels, self._taken = False, None
            return
        unrelated = sum(powers) / n_channels**2
        if max(powers) < MIN_POWER:
            return
        self.judged = True
        mixed = mean(samples)
        ratio = power(mixed) / unrelated
        self._free = 0 if ratio < CANCEL_UNTIL else self._free + 1
        if ratio < CANCEL_BELOW:
            self.cancels = True
            if self._wanted == "auto" and self._taken is None:
                self._taken = int(np.argmax(powers))
        elif self._free >= LEAVE_INTERVALS:
            self.cancels, self._taken = False, None


def power(signal: Samples) -> float:
    """Return the mean square of a signal `(n,)` without its DC; 0 for no samples."""
    return mean_square(without_dc(signal)) if len(signal) else 0.0


def without_dc(signal: Samples) -> Samples:
    """Return a signal `(n,)` less its mean."""
    return signal - np.float32(signal.mean(dtype=np.float64))


def mean_square(signal: Samples) -> float:
    """Return the mean square of a signal `(n,)`, n > 0."""
    return float(np.dot(signal, signal)) / len(signal)
