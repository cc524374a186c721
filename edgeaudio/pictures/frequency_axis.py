"""Frequencies as places on the upright axis of a picture: linear, mel or logarithmic.

Owns: the three scales. Does not know: spectra, pixels.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Scale = Literal["linear", "mel", "log"]
Floats = NDArray[np.float64]

LOG_LOWEST_HZ = 50.0  # a logarithmic axis has no zero


class FrequencyAxis:
    """The axis from its lowest frequency, at 0, to `high_hz`, at 1."""

    def __init__(self, scale: Scale, high_hz: float, low_hz: float | None = None) -> None:
        """`low_hz`: 0 < low_hz < high_hz; None: 0, or LOG_LOWEST_HZ of a logarithmic axis."""
        self.scale = scale
        self.low_hz = low_hz if low_hz is not None else LOG_LOWEST_HZ if scale == "log" else 0.0
        self.high_hz = high_hz
        self._low, self._high = _warp(np.array([self.low_hz, high_hz]), scale)

    def place(self, hz: Floats | float) -> Floats:
        """Return where frequencies are on the axis."""
        return np.asarray((_warp(np.asarray(hz, np.float64), self.scale) - self._low) / (self._high - self._low))

    def hz(self, place: Floats | float) -> Floats:
        """Return the frequencies at places on the axis, the inverse of `place`."""
        warped = self._low + np.asarray(place, np.float64) * (self._high - self._low)
        return _unwarp(warped, self.scale)


def _warp(hz: Floats, scale: Scale) -> Floats:
    if scale == "mel":  # O'Shaughnessy 1987, as in HTK
        return np.asarray(2595 * np.log10(1 + hz / 700))
    return np.log(hz) if scale == "log" else hz


def _unwarp(warped: Floats, scale: Scale) -> Floats:
    if scale == "mel":
        return np.asarray(700 * (10 ** (warped / 2595) - 1))
    return np.exp(warped) if scale == "log" else warped
