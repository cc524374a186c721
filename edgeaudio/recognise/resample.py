"""Streaming polyphase resampler, from the stream's sample rate to the model's.

Owns: the anti-aliasing filter and the arithmetic of rates.
Does not know: channels, clips, time of day.

A Kaiser-windowed sinc (J. O. Smith, "Digital Audio Resampling"), 48 zero crossings a side, flat within
0.1 dB to 0.89 of the lower Nyquist frequency and 80 dB down above it. It works in units of a fixed number of samples
counted from the signal's first, so that the output is bit-equal however the input is split.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from math import ceil

import numpy as np

from edgeaudio.recognise.buffer import SampleBuffer, windows_of
from edgeaudio.types import Samples

ZERO_CROSSINGS = 48
ROLLOFF = 0.945  # the filter's half-amplitude point, of the lower Nyquist frequency
KAISER_BETA = 8.0
UNIT_S = 0.02  # shortest run of input that is resampled at once
MIN_ROW = 48  # outputs per row of the matrix product; fewer would waste filter taps
MAX_UNITS = 32  # resampled in one call: the rows of the product overlap, and take several times the input's memory
# A ratio that needs larger numbers is approximated: the pitch is off by less than 0.1 %. Times are computed with the
# ratio in use, so that they do not drift.
MAX_PHASES = 640  # output samples before the phases of the filter repeat
MAX_STEP = 2560  # input samples of the same; more would make a matrix of millions of taps


class Resampler:
    """Resampler of one signal, which comes in pieces of any length; call `flush` at its end."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        ratio = _ratio(from_hz, to_hz)
        self._same = ratio == 1
        self._ratio = ratio  # input samples per output sample
        self._step_in, self._matrix, self._half = polyphase_filter(ratio)
        rows = ceil(UNIT_S * from_hz / self._step_in)
        self._unit_in = rows * self._step_in
        self._buffer = SampleBuffer()
        self._buffer.append(np.zeros(self._half, dtype=np.float32))
        self._received = 0
        self._made = 0

    @property
    def input_per_output(self) -> Fraction:
        """Input samples per output sample, exactly."""
        return self._ratio

    def input_for(self, n: int) -> int:
        """Return the number of input samples after which `feed` has returned `n` output samples."""
        if self._same:
            return n
        outputs_a_unit = int(self._unit_in / self._ratio)
        return -(-n // outputs_a_unit) * self._unit_in + self._half

    def feed(self, samples: Samples) -> Samples:
        """Append samples float32 `(n,)`, and return the output that can be computed so far, float32 `(m,)`."""
        if self._same:
            return samples
        self._received += len(samples)
        self._buffer.append(samples)
        pieces = []
        while (n_units := (self._buffer.stop - self._buffer.start - 2 * self._half) // self._unit_in) > 0:
            pieces.append(self._resample(min(n_units, MAX_UNITS)))
        out: Samples = np.concatenate(pieces) if pieces else np.empty(0, dtype=np.float32)
        self._made += len(out)
        return out

    def _resample(self, n_units: int) -> Samples:
        """Return the output of the next units of input, and forget them."""
        start, end = self._buffer.start, self._buffer.start + n_units * self._unit_in
        windows = windows_of(self._buffer.view(start, end + 2 * self._half), len(self._matrix), self._step_in)
        # NumPy 1 multiplies overlapping rows without BLAS, four times slower than copying them
        rows = np.ascontiguousarray(windows)
        # a product for each unit: one of all at once may add up in another order
        out: Samples = rows.reshape(n_units, -1, len(self._matrix)) @ self._matrix
        self._buffer.forget(end)
        return out.ravel()

    def flush(self) -> Samples:
        """Return the rest of the output, as if zeros followed the signal."""
        if self._same:
            return np.empty(0, dtype=np.float32)
        missing = ceil(self._received / self._ratio) - self._made
        tail = self.feed(np.zeros(2 * (self._unit_in + self._half), dtype=np.float32))
        return tail[:missing]


def _ratio(from_hz: int, to_hz: int) -> Fraction:
    """Return input samples per output sample, as a ratio small enough for a filter."""
    return Fraction(from_hz, to_hz).limit_denominator(max(1, min(MAX_PHASES, MAX_STEP * to_hz // from_hz)))


@lru_cache(maxsize=8)
def polyphase_filter(ratio: Fraction) -> tuple[int, Samples, int]:
    """Return input samples per row, matrix float32 `(row + 2 half, outputs per row)`, and the filter's half width."""
    up, down = ratio.denominator, ratio.numerator
    repeat = ceil(MIN_ROW / up)
    step_in, outputs = down * repeat, up * repeat
    cutoff = ROLLOFF * min(1.0, up / down)
    width = ZERO_CROSSINGS / min(1.0, up / down)
    half = ceil(width)
    taps = np.arange(step_in + 2 * half)[:, None] - half
    distance = taps - np.arange(outputs)[None, :] * (down / up)
    inside = np.clip(1.0 - (distance / width) ** 2, 0.0, None)
    kernel = np.sinc(cutoff * distance) * np.i0(KAISER_BETA * np.sqrt(inside)) * (np.abs(distance) < width)
    kernel /= kernel.sum(axis=0)
    return step_in, kernel.astype(np.float32), half
