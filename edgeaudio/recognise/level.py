"""Loudness of each channel of a source per interval: RMS, peak, clipping and mains hum.

Owns: the measurement, before channels are mixed and without their DC.
Does not know: what is too quiet or too loud (health/signal_monitor.py), time of day.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edgeaudio.decibels import dbfs
from edgeaudio.recognise.buffer import SampleBuffer
from edgeaudio.recognise.channels import mean_square, without_dc
from edgeaudio.recognise.hum import hum_meter
from edgeaudio.types import ChannelLevel, Samples

INTERVAL_S = 1.0
FULL_SCALE = 0.98  # the outermost codes of G.711, 8-bit and 16-bit sound are all above it


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """Measurement of one interval, by sample position; `types.Level` has the source, the time and the worst channel."""

    start: int
    samples: Samples  # (n, channels); valid until the next `feed`
    channels: tuple[ChannelLevel, ...]
    powers: tuple[float, ...]  # mean squares of the channels


class LevelMeter:
    """Readings of one epoch, one a second; samples come in pieces of any length."""

    def __init__(self, sample_rate: int, n_channels: int = 1) -> None:
        self.n_samples = round(INTERVAL_S * sample_rate)  # of an interval
        self._n_channels = n_channels
        self._hum = hum_meter(self.n_samples, sample_rate)
        self._buffer = SampleBuffer()  # channels interleaved

    @property
    def missing(self) -> int:
        """Number of samples until the next reading."""
        return self.n_samples - (self._buffer.stop - self._buffer.start) // self._n_channels

    def feed(self, samples: Samples) -> Iterator[Reading]:
        """Append samples float32 `(n,)` or `(n, channels)`, and yield the readings that they complete."""
        self._buffer.append(samples.reshape(-1))
        length = self.n_samples * self._n_channels
        while self._buffer.stop - self._buffer.start >= length:
            start = self._buffer.start
            interval = self._buffer.view(start, start + length).reshape(-1, self._n_channels)
            yield self._reading(start // self._n_channels, interval)
            self._buffer.forget(start + length)

    def held(self) -> Samples:
        """Return the samples since the last reading, `(n, channels)`; valid until the next `feed`."""
        return self._buffer.view(self._buffer.start, self._buffer.stop).reshape(-1, self._n_channels)

    def _reading(self, start: int, interval: Samples) -> Reading:
        signals = [np.ascontiguousarray(interval[:, channel]) for channel in range(self._n_channels)]
        centred = [without_dc(signal) for signal in signals]
        powers = tuple(map(mean_square, centred))
        levels = tuple(map(self._level, signals, centred, powers))
        return Reading(start, interval, levels, powers)

    def _level(self, signal: Samples, centred: Samples, power: float) -> ChannelLevel:
        lowest, highest = float(signal.min()), float(signal.max())
        clipped = 0.0
        if max(-lowest, highest) >= FULL_SCALE:
            clipped = float(np.count_nonzero(np.abs(signal) >= FULL_SCALE)) / len(signal)
        # a muted G.711 stream repeats one code that is not zero: a constant is digital silence
        if lowest == highest:
            return ChannelLevel(None, None, clipped, 0.0)
        peak = min(1.0, float(np.abs(centred).max()))
        return ChannelLevel(dbfs(power), dbfs(peak * peak), clipped, self._hum.ratio(centred))
