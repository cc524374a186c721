"""Models that agree, tried without running them again: the scores that each gave, made into one.

Owns: which score of a member stands when another's clip ends.
Does not know: models, thresholds, the arithmetic (recognise/fusion.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeaudio.recognise import fusion
from edgeaudio.recognise.model import FINE
from tools.training.event_trials import Trial

Values = NDArray[np.float32]
Combine = Callable[[Values], Values]  # (n_members, n_labels) to (n_labels,)

ROUNDING_S = 1e-6


def mean_logit(values: Values) -> Values:
    """Return the scores whose logits are the means of the members' logits."""
    weights = np.full(values.shape, 1 / len(values))
    return fusion.mean_logit(values.astype(np.float64), weights, FINE / 2).astype(np.float32)


def mixed(members: Sequence[Sequence[Trial]], combine: Combine, *, memory_s: float = 0.0) -> list[Trial]:
    """Return the trials of members together, at the times of the first member's clips.

    The last score of each other member stands until it is older than its clip; where none stands, it is 0.
    memory_s: Above 0, the highest of a member's scores within that time counts, instead of its last.
    """
    return [_mixed(trials, combine, memory_s) for trials in zip(*members, strict=True)]


def _mixed(trials: tuple[Trial, ...], combine: Combine, memory_s: float) -> Trial:
    first, *others = trials
    heard = [_heard(trial) for trial in others]
    scores = []
    for score in first.scores:
        if score.values is None:
            scores.append(score)
            continue
        end_s = score.offset_s + score.duration_s
        rows = [score.values, *(_standing(*each, end_s, memory_s, len(score.values)) for each in heard)]
        scores.append(replace(score, values=combine(np.stack(rows))))
    return replace(first, scores=scores)


def _heard(trial: Trial) -> tuple[NDArray[np.float64], Sequence[Values | None], float]:
    ends_s = np.array([score.offset_s + score.duration_s for score in trial.scores])
    return ends_s, [score.values for score in trial.scores], max((s.duration_s for s in trial.scores), default=0.0)


def _standing(
    ends_s: NDArray[Any], values: Sequence[Values | None], clip_s: float, end_s: float, memory_s: float, n_labels: int
) -> Values:
    """Return a member's scores that stand at `end_s`."""
    since_s = end_s - max(clip_s if memory_s == 0.0 else memory_s, 0.0)
    last = int(np.searchsorted(ends_s, end_s + ROUNDING_S, side="right"))
    first = int(np.searchsorted(ends_s, since_s - ROUNDING_S)) if memory_s else max(0, last - 1)
    standing = [value for end, value in zip(ends_s[first:last], values[first:last], strict=True)
                if value is not None and end >= since_s - ROUNDING_S]  # fmt: skip
    return np.max(standing, axis=0) if standing else np.zeros(n_labels, np.float32)
