"""How far recognition has come in a track, and what it heard there that may not leave.

Owns: the newest clip of each model, stretches with a forbidden score, and stretches that no model judged.
Does not know: events, clips of events, files, who takes the sound.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from edgeaudio.tracks.track import Track
from edgeaudio.types import ModelInfo, Scores

_ROUNDING = 2  # samples


@dataclass(frozen=True, slots=True)
class _Newest:
    """Newest clip of a model."""

    epoch: int
    offset_s: float  # of its beginning in the epoch
    begin: int
    end: int
    info: ModelInfo


@dataclass(frozen=True, slots=True)
class Stretch:
    """Positions from `begin` to `end` whose sound may not leave."""

    begin: int
    end: int
    why: str


@dataclass(frozen=True, slots=True)
class Judged:
    """Part of a clip that is judged."""

    begin: int  # not before the clip's own
    until: int | None  # so far; None: a label that forbids clips has not been judged at all
    end: int  # what follows will never be judged


class Recognition:
    """Recognition of one track."""

    def __init__(self, track: Track, never_with: Mapping[str, float]) -> None:
        self._track = track
        self._never_with = never_with
        self._newest: dict[str, _Newest] = {}  # by model
        # labels of the source's models: one with long clips gives its first scores late
        self._models: Mapping[str, tuple[str, ...]] = {}
        # in their order; they do not overlap, so that they are not more than the track has room for
        self._forbidden: deque[Stretch] = deque()
        self._unjudged: deque[Stretch] = deque()
        self.is_over = False  # no more scores will come for the sound so far

    def add(self, scores: Scores) -> bool:
        """Take the scores of one clip; return False if its sound is not in the track."""
        rate, info = self._track.sample_rate, scores.info
        first = round(scores.offset_s * rate)
        begin = self._track.position(scores.epoch, first)
        end = self._track.position(scores.epoch, first + round(scores.duration_s * rate))
        if info is None or begin is None or end is None:
            return False
        self.is_over = False
        labels = self._never_with.keys() & set(info.labels) if self._never_with else ()
        if labels:
            self._note_unjudged(scores, info, begin, end)
        for label in labels:
            score = 0.0 if scores.values is None else float(scores.values[info.labels.index(label)])
            if not score < self._never_with[label]:  # nor NaN
                _add(self._forbidden, Stretch(begin, end, f"it holds {label} with a score of {score:.2f}"))
        self._newest[scores.model] = _Newest(scores.epoch, scores.offset_s, begin, end, info)
        if info.models != self._models:  # others may have been loaded
            self._models = info.models
            self._newest = {model: newest for model, newest in self._newest.items() if model in info.models}
        return True

    def info(self, model: str) -> ModelInfo | None:
        """Return what is known of a model; None before its first scores."""
        return self._newest[model].info if model in self._newest else None

    def forbidden(self, begin: int, end: int) -> str | None:
        """Return why a stretch may not be kept, as far as it is judged; None: it may."""
        stretches = (*self._forbidden, *self._unjudged)
        return next((found.why for found in stretches if found.begin < end and found.end > begin), None)

    def allowed(self, begin: int, end: int) -> Iterator[tuple[int, int]]:
        """Yield the parts of a stretch that may leave, as far as it is judged."""
        for found in sorted((*self._forbidden, *self._unjudged), key=lambda found: found.begin):
            free_until = min(found.begin, end)
            if begin < free_until:
                yield begin, free_until
            begin = max(begin, found.end)
        if begin < end:
            yield begin, end

    def judged_until(self) -> int | None:
        """Return the position before which all is judged; None: a label of `never_with` has not been judged at all."""
        until: int | None = self._track.end
        for label in self._never_with:
            models = [self._newest.get(name) for name, labels in self._models.items() if label in labels]
            # a later clip may still hold what is newer than the beginning of the newest clip
            ends = [newest.end if self.is_over else newest.begin for newest in models if newest is not None]
            until = min(until, *ends) if models and len(ends) == len(models) and until is not None else None
        return until

    def judged(self, begin: int, middle: int) -> Judged:
        """Return which part of a clip is judged that would begin at `begin` and must hold `middle`."""
        end = sys.maxsize
        until = self.judged_until()
        for stretch in self._unjudged:
            if stretch.end <= middle:
                begin = max(begin, stretch.end)
            elif stretch.begin >= middle:
                end = min(end, stretch.begin)
        return Judged(begin, until, end)

    def certain(self, model: str) -> int:
        """Return the position before which an event of the model that sounds cannot end."""
        newest = self._newest.get(model)
        if newest is None:
            return self._track.begin
        return newest.end - round(newest.info.offset_delay_s * self._track.sample_rate)

    def needed(self) -> int | None:
        """Return the position before which no event will begin that is not yet reported; None: unknown."""
        if not self._newest:
            return None
        delay_s = max(newest.info.onset_delay_s for newest in self._newest.values())
        # a recording's last clip is filled up with zeros
        end = min(self._track.end, max(newest.end for newest in self._newest.values()))
        return end - round(delay_s * self._track.sample_rate)

    def forget(self, before: int) -> None:
        """Forget the stretches that end before a position."""
        for stretches in (self._forbidden, self._unjudged):
            while stretches and stretches[0].end <= before:
                stretches.popleft()

    def _note_unjudged(self, scores: Scores, info: ModelInfo, begin: int, end: int) -> None:
        """Note what a model has not judged between its newest clip and this one, which is from `begin` to `end`."""
        before = self._newest.get(scores.model)
        if before is not None and before.epoch == scores.epoch:
            step_s = scores.offset_s - before.offset_s
            if step_s > info.longest_step_s + _ROUNDING / self._track.sample_rate:
                # scores of clips in between did not come, and any of them may have forbidden what it held
                _add(self._unjudged, Stretch(before.begin, end, "not all of its scores are known"))
                return
        judged = self._track.begin if before is None else before.end
        if begin > judged + _ROUNDING:
            _add(self._unjudged, Stretch(judged, begin, "not all of its sound was judged"))


def _add(stretches: deque[Stretch], new: Stretch) -> None:
    """Append a stretch, or make the last one longer if the two overlap."""
    if stretches and new.begin <= stretches[-1].end:
        last = stretches.pop()
        new = Stretch(min(last.begin, new.begin), max(last.end, new.end), last.why)
    stretches.append(new)
