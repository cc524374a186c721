"""Power spectra of frames, by rows of a frequency axis.

Owns: window, FFT, and the rows' shares of its bins. Does not know: time, pixels, colours.

A row has the power of its strongest bin, so that a tone has its level on every scale. Narrow rows are interpolated; the
transition is gradual, so that noise has no edge there. A sine of amplitude 1 has a power of 0.5 (-3 dBFS); DC has none.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from edgeaudio.pictures.frequency_axis import FrequencyAxis
from edgeaudio.types import Samples

Powers = NDArray[np.float32]

WINDOW_S = 0.032
# a row of a linear axis is wider than what more samples resolve: above 48 kHz they would only blur the time
LINEAR_WINDOW = 1536
_WIDE = 4.0  # bins of a row from which only the strongest counts; down to one it counts less and less
_MAX_PADDING = 8  # FFT's length in windows: interpolates the spectra of low sample rates


class Analysis:
    """Spectra of one sample rate by the rows of an axis."""

    def __init__(self, axis: FrequencyAxis, n_rows: int, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        length = max(2, round(WINDOW_S * sample_rate))
        self.window_length = min(length, LINEAR_WINDOW) if axis.scale == "linear" else length
        # periodic Hann
        self._window = np.hanning(self.window_length + 1)[:-1].astype(np.float32)
        self._mean = self._window / self._window.sum()
        self._power_scale = np.float32(2 / float(self._window.sum()) ** 2)
        wanted = min(max(self.window_length, 2 * n_rows), _MAX_PADDING * self.window_length)
        self._n_fft = 1 << (wanted - 1).bit_length()
        self._divide(axis, n_rows)

    def _divide(self, axis: FrequencyAxis, n_rows: int) -> None:
        n_bins = self._n_fft // 2 + 1
        bin_hz = self.sample_rate / self._n_fft
        edges = axis.hz(np.linspace(0, 1, n_rows + 1)) / bin_hz
        begins = np.ceil(edges[:-1] - 1e-6).astype(int)
        # rows above this rate's own Nyquist frequency, where an earlier format had a higher rate
        self._beyond = edges[:-1] > n_bins - 1 + 1e-6
        self._begins = np.minimum(begins, n_bins - 1)
        # the bins above the highest frequency of the axis are no part of its last row
        self._end = max(int(self._begins[-1]) + 1, min(n_bins, int(edges[-1] + 1e-6) + 1))
        bins_of_row = np.diff(edges)
        self._narrow = np.flatnonzero(bins_of_row < _WIDE)
        self._strongest = np.clip((bins_of_row[self._narrow] - 1) / (_WIDE - 1), 0, 1).astype(np.float32)
        centres = np.minimum((edges[:-1] + edges[1:])[self._narrow] / 2, n_bins - 1)
        self._below = np.minimum(centres.astype(int), n_bins - 2)
        self._share = (centres - self._below).astype(np.float32)

    def powers(self, samples: Samples, hop: int, n_frames: int) -> Powers:
        """Return the powers `(n_frames, n_rows)` of frames of samples `(n, channels)`, the mean of the channels'."""
        total: Powers = np.zeros((n_frames, self._n_fft // 2 + 1), np.float32)
        for channel in samples.T:
            frames = sliding_window_view(channel, self.window_length)[::hop][:n_frames]
            means = frames @ self._mean  # weighted by the window: what is taken off leaks into no other bin
            windowed = (frames - means[:, None]) * self._window
            spectra = np.fft.rfft(windowed, self._n_fft)
            total += (spectra.real**2 + spectra.imag**2).astype(np.float32)
        total *= self._power_scale / np.float32(samples.shape[1])
        return self._by_rows(total)

    def _by_rows(self, powers: Powers) -> Powers:
        rows: Powers = np.maximum.reduceat(powers[:, : self._end], self._begins, axis=1)
        below, share = self._below, self._share
        between = powers[:, below] * (1 - share) + powers[:, below + 1] * share
        rows[:, self._narrow] = between + (rows[:, self._narrow] - between) * self._strongest
        rows[:, self._beyond] = 0
        return rows
