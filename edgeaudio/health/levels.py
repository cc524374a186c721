"""Levels gathered over a longer interval, so that the broker is not flooded with one a second.

Owns: the averages. Pure. Does not know: where levels come from and go to.
"""

from __future__ import annotations

from math import log10

from edgeaudio.recognise.types import Level


class LevelDigest:
    """One Level for every `interval_s` of Levels."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._held: list[Level] = []

    def add(self, level: Level) -> Level | None:
        """One more level; returns the digest where the interval is full."""
        self._held.append(level)
        if sum(held.duration_s for held in self._held) < self._interval_s - level.duration_s / 2:
            return None
        held, self._held = self._held, []
        return digest(held)


def digest(levels: list[Level]) -> Level:
    """The mean power, the highest peak and the mean ratios of levels that follow each other."""
    length_s = sum(level.duration_s for level in levels)
    power = sum(10 ** (level.rms_dbfs / 10) * level.duration_s for level in levels if level.rms_dbfs is not None)
    peaks = [level.peak_dbfs for level in levels if level.peak_dbfs is not None]
    return Level(
        source=levels[0].source,
        at=levels[0].at,
        duration_s=length_s,
        rms_dbfs=10 * log10(power / length_s) if power > 0 else None,
        peak_dbfs=max(peaks, default=None),
        clipped_ratio=sum(level.clipped_ratio * level.duration_s for level in levels) / length_s,
        hum_ratio=sum(level.hum_ratio * level.duration_s for level in levels) / length_s,
    )
