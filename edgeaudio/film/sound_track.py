"""The sound of a film: one rate and one number of channels, whatever the source does in between.

Owns: the conversion, and the position of each sample. Does not know: encoders, pictures.
"""

from __future__ import annotations

import numpy as np

from edgeaudio.film.output import FilmOutput
from edgeaudio.film.time_line import Placed
from edgeaudio.media.film_form import MAX_RATE_HZ, MIN_RATE_HZ
from edgeaudio.mixing import mean
from edgeaudio.recognise.resample import Resampler
from edgeaudio.types import Samples

_LOW_RATE, _HIGH_RATE = 8_000, 384_000  # Hz, of sound with a lower rate, or a higher one, than a film can have


def film_rate(sample_rate: int) -> int:
    """Return the sample rate of a film whose source begins with that one."""
    return _LOW_RATE if sample_rate < MIN_RATE_HZ else _HIGH_RATE if sample_rate > MAX_RATE_HZ else sample_rate


class SoundTrack:
    """The sound of one film, handed to its output at its place."""

    def __init__(self, output: FilmOutput, sample_rate: int, n_channels: int) -> None:
        self._output = output
        self._rate = sample_rate
        self._n_channels = n_channels
        self._from_hz = 0
        self._resamplers: list[Resampler] = []
        self._position = 0  # of the next sample

    def add(self, placed: Placed) -> None:
        """Add sound at its place."""
        samples = self._mixed(placed.samples)
        if not placed.joined or placed.sample_rate != self._from_hz:
            self.end()
            self._from_hz = placed.sample_rate
            self._position = max(self._position, round(placed.begin_s * self._rate))
            if self._from_hz != self._rate:
                self._resamplers = [Resampler(self._from_hz, self._rate) for _ in range(self._n_channels)]
        if self._resamplers:
            pairs = zip(self._resamplers, samples.T, strict=True)
            samples = np.stack([each.feed(np.ascontiguousarray(signal)) for each, signal in pairs], axis=1)
        self._write(samples)

    def end(self) -> None:
        """Write the last samples of the sound so far; what follows is not joined to it."""
        if self._resamplers:
            self._write(np.stack([each.flush() for each in self._resamplers], axis=1))
        self._resamplers = []
        self._from_hz = 0

    def _write(self, samples: Samples) -> None:
        if len(samples):
            self._output.sound(self._position, samples)
            self._position += len(samples)

    def _mixed(self, samples: Samples) -> Samples:
        """Return samples `(n, channels)` with the film's channels."""
        if samples.shape[1] == self._n_channels:
            return samples
        mono = samples[:, 0] if samples.shape[1] == 1 else mean(samples)
        return np.repeat(mono[:, None], self._n_channels, axis=1)
