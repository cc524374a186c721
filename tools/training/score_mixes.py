"""Models that agree, tried without running them again: the scores that each gave, combined as a manifest says.

Owns: which score of a member stands when another's clip ends, as the agent has it (recognise/fused_model.py).
Does not know: models, thresholds, the arithmetic (recognise/fusion.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.fusion import Combination, MemberOutput
from edgeaudio.recognise.manifest import Manifest
from edgeaudio.types import Scores
from tools.training.event_trials import Trial

Values = NDArray[np.float32]

ROUNDING_S = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """What a member gave for every stretch of sound. output: What its scores stand for."""

    output: MemberOutput
    trials: Sequence[Trial]


def fused(manifest: Manifest, members: Mapping[str, Heard], *, memory_s: float = 0.0) -> list[Trial]:
    """Return the trials of a fused model, by the names of its members, at the times of the first one's clips.

    The fused model has the clips of its first member. The last score of each other member stands until it is older
    than its clip; where none stands, it counts as 0.
    memory_s: Above 0, the highest of each score of a member within that time counts, instead of its last.

    Raises:
        EdgeaudioError: A member is missing, or has no label of that name.
    """
    for section in manifest.fuse:
        if section.model not in members:
            raise EdgeaudioError(f"{manifest.name}: its member {section.model} was not heard")
        for theirs in section.labels.values():
            if theirs not in members[section.model].output.reported:
                raise EdgeaudioError(f"{manifest.name}: {theirs!r} is no label of {section.model}")
    heard = [members[section.model] for section in manifest.fuse]
    combination = Combination(manifest, [member.output for member in heard])
    together = zip(*(member.trials for member in heard), strict=True)
    return [_combined(trials, combination, memory_s) for trials in together]


def renamed(trials: Sequence[Trial], columns: Sequence[Sequence[int]]) -> list[Trial]:
    """Return trials with other labels: the score of each is the highest of those in its columns."""

    def of(values: Values | None) -> Values | None:
        return None if values is None else np.array([values[list(each)].max() for each in columns], np.float32)

    return [
        replace(trial, scores=[replace(score, values=of(score.values)) for score in trial.scores]) for trial in trials
    ]


def _combined(trials: Sequence[Trial], combination: Combination, memory_s: float) -> Trial:
    first, *others = trials
    heard = [_heard(trial) for trial in others]

    def at(score: Scores) -> Scores:
        if score.values is None:
            return score
        end_s = score.offset_s + score.duration_s
        standing = [score.values, *(_standing(*each, end_s, memory_s) for each in heard)]
        return replace(score, values=combination.combined(standing).values)

    return replace(first, scores=[at(score) for score in first.scores])


def _heard(trial: Trial) -> tuple[NDArray[np.float64], Sequence[Values | None], float]:
    ends_s = np.array([score.offset_s + score.duration_s for score in trial.scores])
    return ends_s, [score.values for score in trial.scores], max((s.duration_s for s in trial.scores), default=0.0)


def _standing(
    ends_s: NDArray[Any], values: Sequence[Values | None], clip_s: float, end_s: float, memory_s: float
) -> Values | None:
    """Return a member's scores that stand at `end_s`; None if there are none."""
    since_s = end_s - max(clip_s if memory_s == 0.0 else memory_s, 0.0)
    last = int(np.searchsorted(ends_s, end_s + ROUNDING_S, side="right"))
    first = int(np.searchsorted(ends_s, since_s - ROUNDING_S)) if memory_s else max(0, last - 1)
    standing = [value for end, value in zip(ends_s[first:last], values[first:last], strict=True)
                if value is not None and end >= since_s - ROUNDING_S]  # fmt: skip
    return np.max(standing, axis=0) if standing else None
