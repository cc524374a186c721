"""Levels in dB of full scale (dBFS): a square wave of amplitude 1 is at 0, a sine of amplitude 1 at -3.

A power is a mean square. One of LEAST_POWER or less has no level: it is digital silence, or the rounding of a mean.
"""

from __future__ import annotations

from math import log10

import numpy as np

from edgeaudio.types import Samples

LEAST_POWER = 1e-20  # -200 dBFS; one step of 24 bits in a second at 48 kHz is at -185


def dbfs(power: float) -> float | None:
    """Return the level of a power in dBFS; None for digital silence."""
    return 10.0 * log10(power) if power > LEAST_POWER else None


def rms_dbfs(signal: Samples) -> float | None:
    """Return the RMS level of a signal `(n,)`, its DC included; None for digital silence and for no samples."""
    return dbfs(float(np.dot(signal, signal)) / max(1, len(signal)))


def loudest_channel_dbfs(samples: Samples) -> float | None:
    """Return the RMS level of the loudest channel of samples `(n,)` or `(n, channels)`, without its DC.

    None for digital silence and for no samples.
    """
    return dbfs(float(np.max(np.var(samples, axis=0, dtype=np.float64)))) if len(samples) else None
