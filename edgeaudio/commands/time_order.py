"""Results of several models in order of time.

A result is held until no earlier one can follow: models with longer clips report later, and an event begins before it
is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from heapq import heappop, heappush

from edgeaudio.recognise.pipeline import ModelBinding
from edgeaudio.types import Event, Scores


class TimeOrder:
    """Holds results, and releases those that no earlier one can follow."""

    def __init__(self, bindings: Sequence[ModelBinding], *, events: bool) -> None:
        self._known: dict[str, datetime | None] = dict.fromkeys(binding.model.manifest.name for binding in bindings)
        self._lag = timedelta(seconds=max(map(_longest_lag_s, bindings), default=0.0) if events else 0.0)
        self._held: list[tuple[datetime, int, Scores | Event]] = []
        self._count = 0  # keeps results of one time in their order

    def hold(self, result: Scores | Event) -> None:
        """Hold a result."""
        heappush(self._held, (result.at, self._count, result))
        self._count += 1

    def heard(self, scores: Scores) -> Iterator[Scores | Event]:
        """Yield what no earlier result can follow, now that a model has scored this clip."""
        self._known[scores.model] = scores.at
        known = [at for at in self._known.values() if at is not None]
        if len(known) == len(self._known):
            yield from self._until(min(known) - self._lag)

    def rest(self) -> Iterator[Scores | Event]:
        """Yield all that is held: no result follows."""
        while self._held:
            yield heappop(self._held)[2]

    def _until(self, at: datetime) -> Iterator[Scores | Event]:
        while self._held and self._held[0][0] <= at:
            yield heappop(self._held)[2]


def _longest_lag_s(binding: ModelBinding) -> float:
    """Return the longest time from the beginning of an event to the beginning of the clip that reports it."""
    clip, detector = binding.model.manifest.clip, binding.model.manifest.detector
    return (
        clip.n_samples / clip.sample_rate
        + (detector.mean_of + detector.votes_of + 1) * binding.effective_period_s
        + detector.min_duration_s
        + detector.hold_s
        + detector.cooldown_s
        + detector.refractory_s
    )
