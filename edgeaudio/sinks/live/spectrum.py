"""The spectrum of a stretch of sound: a column of levels every 20 ms, in bands from 0 Hz to half the sample rate. Pure.

Owns: windows, bands, and the scale of a level as a byte.
Does not know: sources, times, how a column is sent.

The bands are linear, at the stream's own rate. So harmonics stand at equal distances and a bat or a dolphin has as many
bands as a dog, and a viewer can still draw a mel or logarithmic axis, while linear bands cannot be had from mel bands.

A byte is the power of one band, in dBFS; the powers of all bands add up to that of the windowed sound. Windows overlap
by half or more, so that no click falls between two columns. The power of several channels is their mean: channels that
cancel each other out are still seen.

A whole packet is computed at once, always from the same samples: how the sound was split changes no bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from edgeaudio.types import Samples

Levels = NDArray[np.uint8]

HOP_S: Final = 0.02
PACKET_COLUMNS: Final = 10
MAX_BANDS: Final = 256
FLOOR_DB: Final = -127.5  # of a byte of 0, and of anything softer
STEP_DB: Final = 0.5
_LEAST_POWER: Final = 1e-20  # has a logarithm


class Spectrum:
    """Columns of one stretch of sound without a hole. Feed all of its samples in order."""

    def __init__(self, sample_rate: int) -> None:
        """`sample_rate`: Hz."""
        self.hop = max(1, round(sample_rate * HOP_S))  # samples from one column to the next
        self.n_fft = 1 << (2 * self.hop - 1).bit_length()  # the power of two from two hops on
        self.n_bands = min(MAX_BANDS, self.n_fft // 2)
        self.high_hz = sample_rate / 2
        self._window = np.hanning(self.n_fft + 1)[:-1].astype(np.float32)  # periodic
        # of both halves of the spectrum, and of what the window takes away
        self._scale = np.float32(2.0 / (self.n_fft * np.square(self._window, dtype=np.float64).sum()))
        self._needed = (PACKET_COLUMNS - 1) * self.hop + self.n_fft
        self._waiting: list[Samples] = []
        self._n_waiting = 0

    def feed(self, samples: Samples) -> Sequence[Levels]:
        """Return the packets that samples `(n,)` or `(n, channels)` complete: `(PACKET_COLUMNS, n_bands)` each."""
        self._waiting.append(samples)
        self._n_waiting += len(samples)
        if self._n_waiting < self._needed:
            return ()
        held = np.concatenate(self._waiting)
        firsts = range(0, len(held) - self._needed + 1, PACKET_COLUMNS * self.hop)
        packets = [self._packet(held[first : first + self._needed]) for first in firsts]
        rest = held[firsts[-1] + firsts.step :].copy()  # a view would keep all of `held`
        self._waiting, self._n_waiting = [rest], len(rest)
        return packets

    def _packet(self, samples: Samples) -> Levels:
        channels = samples.T if samples.ndim == 2 else samples[np.newaxis]
        power = np.zeros((PACKET_COLUMNS, self.n_fft // 2 + 1), np.float32)
        for channel in channels:
            power += self._power(channel)
        power /= np.float32(len(channels))
        width = self.n_fft // 2 // self.n_bands  # in FFT bins
        # a bin on the edge of two bands counts half in each; 0 Hz and half the rate are there only once anyway
        edges = power[:, ::width] / 2
        bands = power[:, :-1].reshape(PACKET_COLUMNS, self.n_bands, width).sum(axis=2) - edges[:, :-1] + edges[:, 1:]
        level_db = 10.0 * np.log10(np.maximum(bands * self._scale, _LEAST_POWER))
        levels: Levels = np.clip(np.rint((level_db - FLOOR_DB) / STEP_DB), 0, 255).astype(np.uint8)
        return levels

    def _power(self, signal: Samples) -> Samples:
        """Return the unscaled power of each FFT bin, `(PACKET_COLUMNS, n_fft // 2 + 1)`, of a signal `(needed,)`."""
        windows = sliding_window_view(signal, self.n_fft)[:: self.hop]
        spectrum = np.fft.rfft(windows * self._window)
        power: Samples = np.square(spectrum.real) + np.square(spectrum.imag)
        return power
