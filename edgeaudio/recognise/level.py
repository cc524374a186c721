"""Loudness of a source, interval by interval: RMS, peak, clipping and mains hum.

Owns: the measuring. Does not know: what is too quiet or too loud (health.py says), time of day.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edgeaudio.recognise.buffer import SampleBuffer
from edgeaudio.recognise.clips import dbfs, rms_dbfs
from edgeaudio.recognise.types import Samples

INTERVAL_S = 1.0
FULL_SCALE = 0.999  # of a 16-bit stream, its two outermost values
MAINS_HZ = (50.0, 60.0)
HUM_WIDTH_HZ = 1.5
HUM_TOP_HZ = 1000.0


@dataclass(frozen=True, slots=True)
class Reading:
    """One interval of a signal. Fields as in `types.Level`."""

    start: int
    n_samples: int
    rms_dbfs: float | None
    peak_dbfs: float | None
    clipped_ratio: float
    hum_ratio: float


class LevelMeter:
    """Readings of one signal, one for every whole second of it. Feed it in pieces of any length."""

    def __init__(self, sample_rate: int) -> None:
        self._n_samples = round(INTERVAL_S * sample_rate)
        self._hum = _hum_bins(self._n_samples, sample_rate)
        self._window: Samples = np.hanning(self._n_samples).astype(np.float32)
        self._buffer = SampleBuffer()

    def feed(self, samples: Samples) -> Iterator[Reading]:
        """Samples `(n,)` float32; yields the readings that they complete."""
        self._buffer.append(samples)
        while self._buffer.stop - self._buffer.start >= self._n_samples:
            start = self._buffer.start
            yield self._reading(start, self._buffer.view(start, start + self._n_samples))
            self._buffer.forget(start + self._n_samples)

    def _reading(self, start: int, signal: Samples) -> Reading:
        magnitudes = np.abs(signal)
        peak = float(magnitudes.max())
        # a muted G.711 stream repeats one code, which is not zero: what never moves is no sound
        if signal.min() == signal.max():
            return Reading(start, len(signal), None, None, float(peak >= FULL_SCALE), 0.0)
        return Reading(
            start=start,
            n_samples=len(signal),
            rms_dbfs=rms_dbfs(signal),
            peak_dbfs=dbfs(peak * peak),
            clipped_ratio=float(np.count_nonzero(magnitudes >= FULL_SCALE)) / len(signal),
            hum_ratio=self._hum_ratio(signal),
        )

    def _hum_ratio(self, signal: Samples) -> float:
        power = np.abs(np.fft.rfft(signal * self._window)) ** 2
        power[: 1 + round(10 * INTERVAL_S)] = 0.0  # a direct-current offset is not sound
        total = float(power.sum())
        return max(float(power[bins].sum()) for bins in self._hum) / total if total > 0.0 else 0.0


def _hum_bins(n_samples: int, sample_rate: int) -> list[np.ndarray]:
    frequencies = np.fft.rfftfreq(n_samples, 1 / sample_rate)
    audible = (frequencies > MAINS_HZ[0] / 2) & (frequencies < HUM_TOP_HZ)
    return [
        np.flatnonzero(audible & (np.abs(frequencies - mains * np.round(frequencies / mains)) <= HUM_WIDTH_HZ))
        for mains in MAINS_HZ
    ]
