"""Mains hum: its share in the energy of a signal.

Owns: the measurement. Does not know: how much hum is too much (health/signal_monitor.py).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from edgeaudio.types import Samples

MAINS_HZ = (50.0, 60.0)
HUM_WIDTH_HZ = 1.5
HUM_TOP_HZ = 1000.0
LOWEST_HZ = 10.0  # below are DC, wind and waves
FOLDED_HZ = 6000.0  # lowest sample rate at which hum is measured


@lru_cache(maxsize=8)
def hum_meter(n_samples: int, sample_rate: int) -> HumMeter:
    """Return a meter; those of sources with one sample rate share its tables."""
    return HumMeter(n_samples, sample_rate)


class HumMeter:
    """Share of mains hum in the energy of intervals of one length."""

    def __init__(self, n_samples: int, sample_rate: int) -> None:
        self._window: Samples = np.hanning(n_samples).astype(np.float32)
        # sums of so many samples are analysed instead of samples, which takes a fraction of the time
        most = max(1, int(sample_rate / FOLDED_HZ))
        self._fold = max(fold for fold in range(1, most + 1) if n_samples % fold == 0)
        self._ones: Samples = np.ones(self._fold, np.float32)
        bins = np.arange(n_samples // self._fold // 2 + 1)
        frequencies = bins * (sample_rate / n_samples)
        self._n_low = int(np.count_nonzero(frequencies <= LOWEST_HZ))
        # from squared magnitudes of the sums' spectrum to the energy of both halves of the samples' spectrum
        with np.errstate(invalid="ignore"):
            response = np.sin(np.pi * bins * self._fold / n_samples) / np.sin(np.pi * bins / n_samples)
        response[0] = self._fold * np.sqrt(2)  # DC has one half
        self._energy = 2 / n_samples * (self._fold / response) ** 2
        audible = (frequencies > MAINS_HZ[0] / 2) & (frequencies < HUM_TOP_HZ)
        self._hum = [
            np.flatnonzero(audible & (np.abs(frequencies - mains * np.round(frequencies / mains)) <= HUM_WIDTH_HZ))
            for mains in MAINS_HZ
        ]

    def ratio(self, signal: Samples) -> float:
        """Return the share of hum, 0 to 1, of an interval `(n_samples,)` without DC."""
        windowed = signal * self._window
        spectrum = np.fft.rfft(windowed.reshape(-1, self._fold) @ self._ones)
        energies = np.square(np.abs(spectrum)) * self._energy
        low, rest = energies[: self._n_low], energies[self._n_low :]
        # the samples' energy has what is above the folded band, too
        total = max(float(np.dot(windowed, windowed) - low.sum()), float(rest.sum()))
        return max(float(energies[bins].sum()) for bins in self._hum) / total if total > 0.0 else 0.0
