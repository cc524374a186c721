"""Thresholds that rise while a sound goes on that the model takes for a label, and come back when it has ended. Pure.

Owns: when a label's threshold rises, how far, and when it comes back.
Does not know: scores of clips and events (detector.py), clocks (a minute is one of sound), which labels are exempt.

A fan that scores a little over the threshold for hours is either an event that never ends, in which nothing else of
that label is found, or an event every few minutes. So what counts is the minutes in which the given threshold was
reached. Where there are many in two hours, and nearly all of them stay close to the threshold, it rises a little above
them, and what is clearer is still found. Scores far above the threshold are left alone: a model that is sure may be
right.
Distances between scores are those of their logits, ln(score / (1 - score)).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from math import exp, floor, log

from edgeaudio.recognise.manifest import Threshold

WINDOW = 120  # minutes that are looked back upon
MANY = 24  # minutes of these: one in five, as of an event every five minutes
SPREAD = 60  # minutes between the first and the last of them, at least: two alarms of half an hour are no habit
NEARLY_ALL = 0.95  # of these minutes; the others may be real events
MARGIN = 0.5  # logits from the scores of nearly all minutes to the raised threshold
BOUND = 2.0  # logits by which a threshold rises, at most: 0.5 becomes 0.88
RETURN_WINDOW = 30  # minutes after which a raised threshold comes back
FEW = 1  # minutes of these that may still reach the given threshold
NONE_YET = -1.0  # below every score: the minute has no clip yet
_HALF_QUANTUM = 1 / 512  # of 8 bits: a score of 0 or 1 has no logit


@dataclass(frozen=True, slots=True)
class Raised:
    """A threshold that has risen."""

    given: Threshold
    threshold: Threshold  # in force; not under the given one
    since: datetime  # of the sound


def logit(score: float) -> float:
    """Return the logit of a score; those of 0 and 1 are taken half a quantum of 8 bits inside."""
    inside = min(max(score, _HALF_QUANTUM), 1 - _HALF_QUANTUM)
    return log(inside / (1 - inside))


def sigmoid(value: float) -> float:
    """Return the score of a logit."""
    return 1 / (1 + exp(-value))


class LabelAdaptation:
    """The raised threshold of one label, from the highest score of each minute."""

    def __init__(self) -> None:
        self.threshold: Threshold | None = None  # raised; None: the given one is in force
        self._given: Threshold | None = None  # at the last minute
        # number and highest score's logit of the minutes that reached the given threshold
        self._minutes: deque[tuple[int, float]] = deque(maxlen=WINDOW)

    def minute(self, number: int, highest: float, given: Threshold) -> None:
        """Take the highest score of a minute; minutes are numbered in order. `given`: by settings or command."""
        if given.is_never:
            self.forget()
            return
        while self._minutes and self._minutes[0][0] <= number - WINDOW:
            self._minutes.popleft()
        if given != self._given:
            self._given, least = given, logit(given.on)
            self._minutes = deque((each for each in self._minutes if each[1] >= least), WINDOW)
        if highest >= given.on:
            self._minutes.append((number, logit(highest)))
        if self.threshold is not None and (not self._fits(self.threshold, given) or self._has_ended(number)):
            self.forget()
        wanted = self._wanted(given)
        if wanted is not None and (self.threshold is None or wanted.on > self.threshold.on):
            self.threshold = wanted

    def forget(self) -> None:
        """Withdraw the raised threshold, and begin anew."""
        self.threshold = None
        self._minutes.clear()

    @staticmethod
    def _fits(raised: Threshold, given: Threshold) -> bool:
        """True if a threshold may have risen so far above the given one, which a command may have moved."""
        return given.on < raised.on <= _bound(given)

    def _has_ended(self, number: int) -> bool:
        return sum(minute > number - RETURN_WINDOW for minute, _ in self._minutes) <= FEW

    def _wanted(self, given: Threshold) -> Threshold | None:
        """Return the threshold above what went on in the window; None: nothing did, or the bound is too low."""
        if len(self._minutes) < MANY or self._minutes[-1][0] - self._minutes[0][0] < SPREAD:
            return None
        ordered = sorted(value for _, value in self._minutes)
        highest = ordered[min(floor(NEARLY_ALL * len(ordered)), len(ordered) - 1)]
        on = sigmoid(highest + MARGIN)
        if on > _bound(given):
            return None
        # under the scores that go on, the event that they began would not end
        return Threshold(max(on, given.on), max(sigmoid(highest + MARGIN / 2), given.off))


def _bound(given: Threshold) -> float:
    return sigmoid(logit(given.on) + BOUND)


class Adaptation:
    """The raised thresholds of one model's labels at one source."""

    def __init__(self, labels: Iterable[str], period_s: float) -> None:
        """`labels`: those that may be raised; `period_s`: from one clip to the next."""
        self.raised: Mapping[str, Raised] = {}  # replaced as a whole: other threads may read it
        self._clips_per_minute = max(1, round(60 / period_s))
        self._labels = {label: LabelAdaptation() for label in labels}
        # of this minute: the highest threshold that a clip's score would have met, by label; the detector notes it
        self.highest = dict.fromkeys(self._labels, NONE_YET)
        self._clips = 0

    def end_clip(self) -> bool:
        """Count a clip whose scores are noted; return True if the minute is over, and `end_minute` due."""
        self._clips += 1
        return self._clips % self._clips_per_minute == 0

    def end_minute(self, given: Mapping[str, Threshold], at: datetime) -> None:
        """Judge the minute, after which other thresholds may be in force. `at`: time of its last clip."""
        number = self._clips // self._clips_per_minute
        for label, adaptation in self._labels.items():
            adaptation.minute(number, self.highest[label], given[label])
        self.highest = dict.fromkeys(self._labels, NONE_YET)
        self._note(given, at)

    def forget(self, label: str) -> None:
        """Withdraw the raised threshold of a label, which begins anew."""
        if label in self._labels:
            self._labels[label].forget()
            self.raised = {name: each for name, each in self.raised.items() if name != label}

    def _note(self, given: Mapping[str, Threshold], at: datetime) -> None:
        self.raised = {
            label: Raised(given[label], threshold, known.since if (known := self.raised.get(label)) else at)
            for label, adaptation in self._labels.items()
            if (threshold := adaptation.threshold) is not None
        }
