"""Levels and spectrum of a sound of any length, for `probe`.

Owns: the computation, a minute at a time, so that a day of sound needs little memory.
Does not know: where the sound comes from, or how the summary is shown.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeaudio.decibels import dbfs
from edgeaudio.recognise.channels import Mixer, power
from edgeaudio.spectrum import band_centres, band_levels, band_powers, levels_of, resampled
from edgeaudio.types import Block, Channel, Samples

BANDS = 14
CHUNK_S = 60.0
COLUMN_S = 1.0  # resolution of the spectrum that is kept of a chunk, once there are several


class SignalSummary:
    """Summary of blocks of one format; a block of another format starts it afresh. Add blocks, then call `finish`."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._shape: tuple[int, ...] = ()
        self._reset()

    def _reset(self) -> None:
        self.duration_s = 0.0
        self.mixer = Mixer(self._channel)
        self._pieces: list[Samples] = []
        self._pending_s = 0.0
        self._signal: Samples | None = None  # of the first chunk, while it is the only one
        self._columns: list[NDArray[np.float64]] = []
        self._count = 0
        self._mean = self._deviation = np.zeros(1)  # of each channel; deviations are the sum of squares
        self._least, self._most = np.full(1, np.inf), np.full(1, -np.inf)

    def add(self, block: Block) -> None:
        """Add a block."""
        if self._shape != (shape := (block.sample_rate, *block.samples.shape[1:])):
            self._shape = shape
            self._reset()
        self._pieces.append(block.samples)
        self._pending_s += block.duration_s
        self.duration_s += block.duration_s
        if self._pending_s >= CHUNK_S:
            self.finish()

    def finish(self) -> None:
        """Compute the summary of the blocks so far."""
        if not self._pieces:
            return
        samples = np.concatenate(self._pieces)
        self._pieces, self._pending_s = [], 0.0
        wide = samples.astype(np.float64).reshape(len(samples), -1)
        # sum of squared deviations by Chan, Golub and LeVeque (1983): DC causes no rounding error
        apart = wide.mean(axis=0) - self._mean
        self._count += len(wide)
        share = len(wide) / self._count
        self._deviation = self._deviation + wide.var(axis=0) * len(wide) + apart**2 * share * (self._count - len(wide))
        self._mean = self._mean + apart * share
        self._least = np.minimum(self._least, wide.min(axis=0, initial=np.inf))
        self._most = np.maximum(self._most, wide.max(axis=0, initial=-np.inf))
        if samples.ndim > 1:
            self.mixer.judge(samples, [power(channel) for channel in samples.T])
        signal = self.mixer.mix(samples)
        if self._count == len(wide):
            self._signal = signal
            return
        if self._signal is not None:
            self._columns.append(self._powers(self._signal))
            self._signal = None
        self._columns.append(self._powers(signal))

    @property
    def frequencies_hz(self) -> list[float]:
        """The centres of the spectrum's bands."""
        return band_centres(self._shape[0], BANDS)

    def levels(self, n_columns: int) -> NDArray[np.float32] | None:
        """The spectrum, dBFS `(BANDS, n_columns)`; None for fewer samples than columns."""
        if self._count <= n_columns:
            return None
        if self._signal is not None:
            return band_levels(self._signal, self._shape[0], BANDS, n_columns)[0]
        return levels_of(resampled(np.concatenate(self._columns, axis=1), n_columns))

    @property
    def channels_dbfs(self) -> list[float | None]:
        """The RMS level of each channel, without DC; None for digital silence."""
        powers = self._deviation / self._count
        return [dbfs(float(power)) for power in powers]

    @property
    def rms_dbfs(self) -> float | None:
        """The RMS level of the loudest channel."""
        return max((level for level in self.channels_dbfs if level is not None), default=None)

    @property
    def peak_dbfs(self) -> float | None:
        """The level of the largest sample, without DC."""
        peak = min(1.0, float(max((self._most - self._mean).max(), (self._mean - self._least).max())))
        return dbfs(peak * peak)

    def _powers(self, signal: Samples) -> NDArray[np.float64]:
        rate = self._shape[0]
        return band_powers(signal, rate, BANDS, max(1, round(len(signal) / rate / COLUMN_S)))
