"""One signal out of the channels of a source, and what to do where their mean is no sound.

Owns: mixing, the test for channels that cancel each other out, and the choice of one channel instead.
Does not know: levels, clips, where channels come from.

A microphone pair whose one side is wired the wrong way round, or a codec that is decoded with its sides exchanged,
gives two channels whose mean is next to nothing. With `channel = "auto"` the loudest of them is taken then. The choice
is made at the end of each measuring interval and holds from there on, so that it depends on the samples alone and not
on the pieces in which they come.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgeaudio.types import Channel, Samples

# of the power that the mean of unrelated channels has: under the first the channels cancel, over the second they don't
CANCEL_BELOW = 0.1
CANCEL_UNTIL = 0.4
# quieter than this (-80 dBFS) nothing is judged: the noise of converters has any phase
MIN_POWER = 1e-8
LEAVE_INTERVALS = 10


class Mixer:
    """One signal of a source. Feed `mix` everything in order, and `judge` each whole interval after that."""

    def __init__(self, channel: Channel = "auto") -> None:
        self.cancels = False  # the channels cancel each other out, as of the last interval
        self._wanted = channel
        self._taken: int | None = None  # index of the channel that is taken instead of the mean
        self.judged = False  # an interval has told
        self._free = 0  # intervals in a row in which nothing cancelled

    @property
    def heard(self) -> Channel:
        """`"mix"`, or the number of the channel that is heard, from 1."""
        if isinstance(self._wanted, int):
            return self._wanted
        return "mix" if self._taken is None else self._taken + 1

    def mix(self, samples: Samples) -> Samples:
        """The signal `(n,)` of samples `(n,)` or `(n, channels)`, float32.

        A channel that the samples do not have is replaced by the last that they have.
        """
        if samples.ndim == 1:
            return samples
        if self.heard == "mix":
            return mean(samples)
        return np.ascontiguousarray(samples[:, min(int(self.heard), samples.shape[1]) - 1])

    def judge(self, samples: Samples, powers: Sequence[float]) -> None:
        """Look at one interval's samples `(n, channels)` and its channels' powers (mean squares without DC)."""
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


def mean(samples: Samples) -> Samples:
    """The mean `(n,)` of all channels of samples `(n, channels)`: the same to the last bit however they are cut."""
    total = samples[:, 0].copy()
    for channel in range(1, samples.shape[1]):
        total += samples[:, channel]
    total *= np.float32(1 / samples.shape[1])
    return total


def power(signal: Samples) -> float:
    """Mean square of a signal `(n,)` without its DC."""
    return mean_square(without_dc(signal)) if len(signal) else 0.0


def without_dc(signal: Samples) -> Samples:
    """A signal `(n,)` less its mean."""
    return signal - np.float32(signal.mean(dtype=np.float64))


def mean_square(signal: Samples) -> float:
    """Mean square of a signal `(n,)` that is not empty."""
    return float(np.dot(signal, signal)) / len(signal)
