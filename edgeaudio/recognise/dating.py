"""When a sound began and ended, from the clips that hold it.

Owns: the estimate, for one label, from the scores of overlapping clips and the levels within one of them.
Does not know: thresholds, votes, events, the time of day.

The scores select a stretch. The first clip whose score has begun to rise, even far below an event's threshold, holds
the beginning, mostly in its newer half: some models need several seconds of a sound to be sure, but few need half a
clip to become suspicious. Within the stretch the sound begins where the level rises most; of rises of similar size the
first is taken, for many alarms come in pulses. Without a rise the middle of the stretch is taken. The error covers the
other candidates. An end is found in the same way, mirrored in time.

docs/architecture.md has the accuracy, measured by tools/maintenance/onset_errors.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgeaudio.types import POWER_STEP_S, Samples

SUSPICION = 0.1  # of the threshold: a lower score shows nothing of the sound
BEGUN = 3.0  # times SUSPICION: a lower score has only begun to rise, even in the first clip
SHARE = 0.5  # newer share of a clip in which its sound has begun
BEFORE, AFTER = 30, 15  # steps of power that are compared
MIN_RISE_DB = 3.0  # a smaller rise is no beginning
ALIKE = 0.7  # of the greatest rise in dB: the first rise of this size is taken
RIVAL = 0.5  # of the greatest rise in dB: rises of this size are candidates, which the error covers
EDGE = 5  # steps at either end of a clip, too few to compare
FLOOR = 1e-12  # of power: -120 dBFS


@dataclass(frozen=True, slots=True, eq=False)
class ClipScore:
    """Score of one label in one clip, and the clip's levels."""

    start_s: float
    duration_s: float
    score: float
    powers: Samples | None  # mean squares of every POWER_STEP_S of the clip, (n,); None: unknown

    @property
    def stop_s(self) -> float:
        return self.start_s + self.duration_s


@dataclass(frozen=True, slots=True)
class Date:
    """Estimate of a moment, in seconds since the epoch began, and its error."""

    offset_s: float
    error_s: float


def beginning(clips: Sequence[ClipScore], first: int, suspicion: float, *, whole: bool) -> Date:
    """Return when the sound began for which `clips[first]` is the first clip that counts.

    suspicion: the score below which a clip shows nothing of the sound.
    whole: `clips` begins with the epoch's first clip, so that the sound may be older.
    """
    at = first
    while at > 0 and clips[at - 1].score >= suspicion:
        at -= 1
    clip = clips[at]
    if at == 0 and whole and clip.score >= BEGUN * suspicion:
        found = _steepest(clip, clip.start_s, clip.stop_s, may_be_older=True)
        return found or Date(clip.start_s, clip.duration_s * SHARE)
    if at == 0 and not whole:  # every score is suspicious: the lowest is taken for no suspicion
        at = min(range(first + 1), key=lambda index: clips[index].score)
        at = min(at + 1, first)
        clip = clips[at]
    stop_s = clip.stop_s
    if at > 0 and clip.score > clips[at - 1].score:
        # assume that the score rises evenly between two clips
        passed = (clip.score - suspicion) / (clip.score - clips[at - 1].score)
        stop_s -= (clip.start_s - clips[at - 1].start_s) * min(1.0, max(0.0, passed))
    start_s = stop_s - clip.duration_s * SHARE
    # the newest of the clips that hold the whole stretch also holds what follows it
    around = [other for other in clips[at:] if other.start_s <= start_s and other.powers is not None]
    found = _steepest(around[-1] if around else clip, start_s, clip.stop_s, may_be_older=False)
    return found or Date((start_s + stop_s) / 2, (stop_s - start_s) / 2)


def end(clips: Sequence[ClipScore], last: int, suspicion: float, *, whole: bool) -> Date:
    """Return when the sound ended for which `clips[last]` is the last clip that counts.

    whole: `clips` ends with the epoch's last clip, so that the sound may go on.
    """
    mirrored = [
        replace(clip, start_s=-clip.stop_s, powers=None if clip.powers is None else clip.powers[::-1])
        for clip in reversed(clips)
    ]
    found = beginning(mirrored, len(clips) - 1 - last, suspicion, whole=whole)
    return Date(-found.offset_s, found.error_s)


def _steepest(clip: ClipScore, start_s: float, stop_s: float, *, may_be_older: bool) -> Date | None:
    """Return where the level rises most between two moments of a clip; None if no rise is large enough."""
    if clip.powers is None or len(clip.powers) < 2 * EDGE:
        return None
    rises_db = _rises_db(clip.powers)
    if may_be_older:
        rises_db[0] = _above_quiet_db(clip.powers)
    times_s = clip.start_s + np.arange(len(rises_db)) * POWER_STEP_S
    allowed = np.flatnonzero((times_s >= start_s) & (times_s <= stop_s)).tolist()
    # a rise whose top is outside the stretch belongs to another sound
    tops = [step for step in allowed if rises_db[step] >= rises_db[max(0, step - AFTER) : step + AFTER + 1].max()]
    greatest_db = max((float(rises_db[step]) for step in tops), default=-np.inf)
    if greatest_db < MIN_RISE_DB:
        return None
    step = next(step for step in tops if rises_db[step] >= ALIKE * greatest_db)
    rivals = [rival for rival in allowed if rises_db[rival] >= RIVAL * greatest_db]
    error_steps = max(step - rivals[0], rivals[-1] - step, EDGE)
    return Date(float(times_s[step]), error_steps * POWER_STEP_S)


def _rises_db(powers: Samples) -> NDArray[np.float64]:
    """Return the rise in dB at each step, (n - EDGE,); -inf at the first EDGE steps."""
    count = len(powers)
    sums = np.concatenate([[0.0], np.cumsum(powers, dtype=np.float64)])
    steps = np.arange(EDGE, count - EDGE)
    first, last = np.maximum(0, steps - BEFORE), np.minimum(count, steps + AFTER)
    after = (sums[last] - sums[steps]) / (last - steps)
    before = (sums[steps] - sums[first]) / (steps - first)
    return np.concatenate([np.full(EDGE, -np.inf), _db(after) - _db(before)])


def _above_quiet_db(powers: Samples) -> float:
    """Return the level of a clip's first steps above its lower quartile, in dB."""
    count = min(AFTER, len(powers))
    means = np.convolve(powers.astype(np.float64), np.full(count, 1 / count), "valid")
    return float(_db(means[0]) - _db(np.quantile(means, 0.25)))


def _db(power: NDArray[np.float64] | np.float64) -> NDArray[np.float64]:
    return np.asarray(10 * np.log10(power + FLOOR))
