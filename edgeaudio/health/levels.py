"""Levels averaged over a longer interval, so that the broker does not get one a second."""

from __future__ import annotations

from collections.abc import Sequence

from edgeaudio.decibels import dbfs
from edgeaudio.types import ChannelLevel, Level


class LevelDigest:
    """One Level per `interval_s` of Levels."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._held: list[Level] = []

    def add(self, level: Level) -> Level | None:
        """Add a level; return the average when the interval is full."""
        self._held.append(level)
        if sum(held.duration_s for held in self._held) < self._interval_s - level.duration_s / 2:
            return None
        held, self._held = self._held, []
        return digest(held)


def digest(levels: Sequence[Level]) -> Level:
    """Return the mean power, the highest peak and the mean ratios of consecutive levels."""
    durations_s = [level.duration_s for level in levels]
    counts = {len(level.channels) for level in levels}
    n_channels = counts.pop() if len(counts) == 1 else 0  # no mean if the number of channels changed
    whole, last = _mean(levels, durations_s), levels[-1]
    return Level(
        source=last.source,
        at=levels[0].at,
        duration_s=sum(durations_s),
        rms_dbfs=whole.rms_dbfs,
        peak_dbfs=whole.peak_dbfs,
        clipped_ratio=whole.clipped_ratio,
        hum_ratio=whole.hum_ratio,
        channels=tuple(_mean([level.channels[k] for level in levels], durations_s) for k in range(n_channels)),
        heard=last.heard,
        cancels=last.cancels,
    )


def _mean(levels: Sequence[Level | ChannelLevel], durations_s: Sequence[float]) -> ChannelLevel:
    length_s = sum(durations_s)
    each = list(zip(levels, durations_s, strict=True))
    power = sum(10 ** (level.rms_dbfs / 10) * length for level, length in each if level.rms_dbfs is not None)
    return ChannelLevel(
        rms_dbfs=dbfs(power / length_s),
        peak_dbfs=max((level.peak_dbfs for level in levels if level.peak_dbfs is not None), default=None),
        clipped_ratio=sum(level.clipped_ratio * length for level, length in each) / length_s,
        hum_ratio=sum(level.hum_ratio * length for level, length in each) / length_s,
    )
