"""Models that agree, tried without running them again: the scores that each gave, combined as a manifest says.

Owns: which scores of a member count when another's clip ends, as the agent has it (recognise/fused_model.py).
Does not know: models, thresholds, the arithmetic (recognise/fusion.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

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


def fused(manifest: Manifest, members: Mapping[str, Heard]) -> list[Trial]:
    """Return the trials of a fused model, by the names of its members, at the times of the first one's clips.

    The fused model has the clips of its first member. Of each other member its last score counts, which stands until it
    is older than its clip, or, by its `window`, the highest within the fused model's clip; where there is none, 0 does.

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
    highest = [section.window == "clip" for section in manifest.fuse]
    return [_combined(trials, combination, highest) for trials in together]


def renamed(trials: Sequence[Trial], columns: Sequence[Sequence[int]]) -> list[Trial]:
    """Return trials with other labels: the score of each is the highest of those in its columns."""

    def of(values: Values | None) -> Values | None:
        return None if values is None else np.array([values[list(each)].max() for each in columns], np.float32)

    return [
        replace(trial, scores=[replace(score, values=of(score.values)) for score in trial.scores]) for trial in trials
    ]


def _combined(trials: Sequence[Trial], combination: Combination, highest: Sequence[bool]) -> Trial:
    heard = [_heard(trial) for trial in trials]

    def at(score: Scores) -> Scores:
        if score.values is None:
            return score
        begin_s, end_s = score.offset_s, score.offset_s + score.duration_s
        counting = [
            _highest(*each, begin_s, end_s) if wide else _standing(*each, end_s)
            for each, wide in zip(heard, highest, strict=True)
        ]
        return replace(score, values=combination.combined(counting).values)

    first = trials[0]
    return replace(first, scores=[at(score) for score in first.scores])


def _heard(trial: Trial) -> tuple[Sequence[Scores], NDArray[np.float64]]:
    return trial.scores, np.array([score.offset_s + score.duration_s for score in trial.scores])


def _standing(scores: Sequence[Scores], ends_s: NDArray[np.float64], end_s: float) -> Values | None:
    """Return a member's scores that stand at `end_s`; None if there are none."""
    last = int(np.searchsorted(ends_s, end_s + ROUNDING_S, side="right")) - 1
    if last < 0 or end_s - ends_s[last] > scores[last].duration_s + ROUNDING_S:
        return None
    return scores[last].values


def _highest(scores: Sequence[Scores], ends_s: NDArray[np.float64], begin_s: float, end_s: float) -> Values | None:
    """Return the highest of a member's scores of clips that ended after `begin_s` and by `end_s`; None without any."""
    first = int(np.searchsorted(ends_s, begin_s + ROUNDING_S, side="right"))
    last = int(np.searchsorted(ends_s, end_s + ROUNDING_S, side="right"))
    found = [score.values for score in scores[first:last] if score.values is not None]
    return np.max(found, axis=0) if found else None
