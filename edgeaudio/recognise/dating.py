"""When a sound began and ended, as well as the clips that hold it can say.

Owns: the reckoning, for one label, from the scores of clips that overlap and from the levels within one of them.
Does not know: thresholds, votes, events, the time of day.

The scores say where to look. A clip whose score has begun to rise, though it may be far from enough for an event,
holds the beginning, and mostly in its newer half: some models need several seconds of a sound to be sure, but few need
half a clip to become suspicious. Within that stretch the beginning is where the level rises most; of rises that are
about as great, the first, for many alarms come in pulses. Where the level tells nothing the middle of the stretch is
taken. Whatever else may be the beginning as well is the error. An end is the same, mirrored in time.

docs/architecture.md has what this is worth, measured by tools/maintenance/onset_errors.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgeaudio.types import POWER_STEP_S, Samples

SUSPICION = 0.1  # of the threshold: a score under it knows nothing of the sound
BEGUN = 3.0  # times that: a score under it has only begun to rise, even where no clip came before
SHARE = 0.5  # of a clip, from its newer end, in which its sound has begun
BEFORE, AFTER = 30, 15  # steps of power that are compared with each other
MIN_RISE_DB = 3.0  # less is no beginning
ALIKE = 0.7  # of the greatest rise in dB: the first of these is taken
RIVAL = 0.5  # what else may be the beginning
EDGE = 5  # steps at either end of a clip, which are too few to be compared
FLOOR = 1e-12  # of power: -120 dBFS


@dataclass(frozen=True, slots=True, eq=False)
class ClipScore:
    """What one clip says of a label."""

    start_s: float
    duration_s: float
    score: float
    powers: Samples | None  # mean squares of every POWER_STEP_S of the clip, (n,); None: unknown

    @property
    def stop_s(self) -> float:
        return self.start_s + self.duration_s


@dataclass(frozen=True, slots=True)
class Date:
    """A moment of the sound, and how far off it may be."""

    offset_s: float
    error_s: float


def beginning(looks: Sequence[ClipScore], first: int, suspicion: float, *, whole: bool) -> Date:
    """When the sound began for which `looks[first]` is the first clip that counts.

    suspicion: the score under which a clip knows nothing of the sound.
    whole: the first of `looks` is the first clip of all, so that the sound may be older.
    """
    at = first
    while at > 0 and looks[at - 1].score >= suspicion:
        at -= 1
    look = looks[at]
    if at == 0 and whole and look.score >= BEGUN * suspicion:
        found = _steepest(look, look.start_s, look.stop_s, may_be_older=True)
        return found or Date(look.start_s, look.duration_s * SHARE)
    if at == 0 and not whole:  # the model is never without suspicion: its least is taken for none
        at = min(range(first + 1), key=lambda index: looks[index].score)
        at = min(at + 1, first)
        look = looks[at]
    stop_s = look.stop_s
    if at > 0 and look.score > looks[at - 1].score:
        # between two clips the score is taken to rise evenly
        passed = (look.score - suspicion) / (look.score - looks[at - 1].score)
        stop_s -= (look.start_s - looks[at - 1].start_s) * min(1.0, max(0.0, passed))
    start_s = stop_s - look.duration_s * SHARE
    # of the clips that hold the stretch whole, the newest also holds what comes after
    around = [other for other in looks[at:] if other.start_s <= start_s and other.powers is not None]
    found = _steepest(around[-1] if around else look, start_s, look.stop_s, may_be_older=False)
    return found or Date((start_s + stop_s) / 2, (stop_s - start_s) / 2)


def end(looks: Sequence[ClipScore], last: int, suspicion: float, *, whole: bool) -> Date:
    """When the sound ended for which `looks[last]` is the last clip that counts.

    whole: the last of `looks` is the last clip of all, so that the sound may go on.
    """
    mirrored = [
        replace(look, start_s=-look.stop_s, powers=None if look.powers is None else look.powers[::-1])
        for look in reversed(looks)
    ]
    found = beginning(mirrored, len(looks) - 1 - last, suspicion, whole=whole)
    return Date(-found.offset_s, found.error_s)


def _steepest(look: ClipScore, start_s: float, stop_s: float, *, may_be_older: bool) -> Date | None:
    """Where the level rises most between two moments of a clip; None: nowhere to speak of."""
    if look.powers is None or len(look.powers) < 2 * EDGE:
        return None
    rises_db = _rises_db(look.powers)
    if may_be_older:
        rises_db[0] = _above_quiet_db(look.powers)
    times_s = look.start_s + np.arange(len(rises_db)) * POWER_STEP_S
    allowed = np.flatnonzero((times_s >= start_s) & (times_s <= stop_s)).tolist()
    # a rise whose top is outside is another sound's
    tops = [step for step in allowed if rises_db[step] >= rises_db[max(0, step - AFTER) : step + AFTER + 1].max()]
    greatest_db = max((float(rises_db[step]) for step in tops), default=-np.inf)
    if greatest_db < MIN_RISE_DB:
        return None
    step = next(step for step in tops if rises_db[step] >= ALIKE * greatest_db)
    rivals = [rival for rival in allowed if rises_db[rival] >= RIVAL * greatest_db]
    error_steps = max(step - rivals[0], rivals[-1] - step, EDGE)
    return Date(float(times_s[step]), error_steps * POWER_STEP_S)


def _rises_db(powers: Samples) -> NDArray[np.float64]:
    """By how much the power after each step exceeds that before it, (n - EDGE,); -inf where little is before it."""
    count = len(powers)
    sums = np.concatenate([[0.0], np.cumsum(powers, dtype=np.float64)])
    steps = np.arange(EDGE, count - EDGE)
    first, last = np.maximum(0, steps - BEFORE), np.minimum(count, steps + AFTER)
    after = (sums[last] - sums[steps]) / (last - steps)
    before = (sums[steps] - sums[first]) / (steps - first)
    return np.concatenate([np.full(EDGE, -np.inf), _db(after) - _db(before)])


def _above_quiet_db(powers: Samples) -> float:
    """By how much a clip's first steps exceed what is quieter than three quarters of it."""
    count = min(AFTER, len(powers))
    means = np.convolve(powers.astype(np.float64), np.full(count, 1 / count), "valid")
    return float(_db(means[0]) - _db(np.quantile(means, 0.25)))


def _db(power: NDArray[np.float64] | np.float64) -> NDArray[np.float64]:
    return np.asarray(10 * np.log10(power + FLOOR))
