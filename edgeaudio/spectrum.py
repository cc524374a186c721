"""Levels by frequency band and time, for pictures of characters; recognition and pictures/ have their own.

Bands are logarithmic, from 50 Hz to half the sample rate.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeaudio.types import Samples

LOWEST_HZ = 50.0


def band_levels(
    samples: Samples, sample_rate: int, n_bands: int, n_columns: int
) -> tuple[NDArray[np.float32], list[float]]:
    """Return the level of each band in each column of time, and the bands' centres in Hz.

    samples: float32 `(n,)` in [-1, 1]; each column covers `n / n_columns` of them.
    Levels are dBFS `(n_bands, n_columns)`, the lowest band first; a full-scale sine is at -3, no energy at -inf.
    """
    return levels_of(band_powers(samples, sample_rate, n_bands, n_columns)), band_centres(sample_rate, n_bands)


def band_centres(sample_rate: int, n_bands: int) -> list[float]:
    """Return the bands' centres in Hz, the lowest first."""
    edges = _edges(sample_rate, n_bands)
    return [float(centre) for centre in np.sqrt(edges[:-1] * edges[1:])]


def levels_of(power: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return powers as dBFS; -inf for 0."""
    with np.errstate(divide="ignore"):
        return (10 * np.log10(power)).astype(np.float32)


def resampled(power: NDArray[np.float64], n_columns: int) -> NDArray[np.float64]:
    """Return powers `(n_bands, m)` as `(n_bands, n_columns)` over the same time: means of what each column covers."""
    so_far = np.concatenate([np.zeros((len(power), 1)), np.cumsum(power, axis=1)], axis=1)
    bounds = np.linspace(0, power.shape[1], n_columns + 1)
    at = np.arange(power.shape[1] + 1)
    means = [np.diff(np.interp(bounds, at, row)) * n_columns / power.shape[1] for row in so_far]
    return np.array(means, np.float64)


def _edges(sample_rate: int, n_bands: int) -> NDArray[np.float64]:
    return np.geomspace(LOWEST_HZ, sample_rate / 2, n_bands + 1)


def band_powers(samples: Samples, sample_rate: int, n_bands: int, n_columns: int) -> NDArray[np.float64]:
    """Return the powers of `band_levels`, `(n_bands, n_columns)`."""
    edges = _edges(sample_rate, n_bands)
    power = np.zeros((n_bands, n_columns))
    for column, piece in enumerate(np.array_split(samples, n_columns)):
        if len(piece) < 2:
            continue
        window = np.hanning(len(piece))
        spectrum = np.abs(np.fft.rfft(piece * window)) ** 2 / (len(piece) * (window**2).sum() or 1.0) * 2
        frequencies = np.fft.rfftfreq(len(piece), 1 / sample_rate)
        bands = np.clip(np.searchsorted(edges, frequencies, side="right") - 1, -1, n_bands - 1)
        # frequencies below the lowest band, and DC, are omitted
        power[:, column] = np.bincount(bands[bands >= 0], spectrum[bands >= 0], minlength=n_bands)
    return power
