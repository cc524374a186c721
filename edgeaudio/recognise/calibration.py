"""Thresholds for a site, from an hour or more of its sound in which nothing is to be reported. Pure.

Owns: what counts as a false alarm, which passages may be real, and the estimate beyond the sound that there is.
Does not know: how sound is heard and scored, tables, settings.

A label's false alarms are the minutes in which its score would have met a threshold with its votes: what flickers in
one minute is one alarm to people. Few hours say nothing of one alarm in days, so the estimate goes on where the sound
ends. High values of scores thin out about exponentially on the scale of logits: the mean by which the highest tenth of
the minutes exceeds the next one is the distance in which the number of alarms falls to 1/e (peaks over a threshold,
with an exponential tail: J. Pickands, Annals of Statistics 3, 1975). The threshold lies that many such distances above
the highest score that was heard, but not further than MOST_MARGIN: each step costs real sounds, and how the sound of a
day differs from that of an hour no formula knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from math import ceil, floor, log

import numpy as np

from edgeaudio.recognise.adaptation import logit, sigmoid
from edgeaudio.recognise.manifest import Threshold
from edgeaudio.types import Event, Samples, Scores

LEAST_S = 600.0  # of sound: the highest tenth of fewer minutes is none
REAL_SCORE = 0.9  # from this score on, and so long, an event may be a real one
REAL_S = 10.0
TAIL = 0.1  # share of the minutes by which the estimate goes on
LEAST_TAIL = 5  # minutes
LEAST_DISTANCE = 0.1  # logits: equal scores of few minutes are no proof
MOST_MARGIN = 1.0  # logits above the highest score: 0.5 becomes 0.73
HIGHEST_ON = 0.99  # a score of 8 bits goes to 0.996: above this nothing would be found
LOWEST_SHARE = 0.5  # of a threshold that is lowered
_STEP = 100  # thresholds are whole hundredths
_MINUTE_S = 60.0


class Verdict(Enum):
    """What the sound says of a label's threshold."""

    KEEP = "keep"
    CHANGE = "change"
    WARNING = "warning"  # it would be raised, but warns of danger
    ALIKE = "alike"  # the sound scores as high as a real one
    REAL = "real"  # all of the sound may be real


@dataclass(frozen=True, slots=True)
class Place:
    """A position in the sound."""

    recording: int  # number, from 0
    offset_s: float


@dataclass(frozen=True, slots=True)
class Passage:
    """An event in the sound that may be a real one."""

    label: str
    begins: Place
    duration_s: float
    score: float


@dataclass(frozen=True, slots=True)
class Proposal:
    """What is proposed for one label."""

    label: str
    chosen: Threshold
    highest: float  # of the scores that count
    place: Place | None  # of the highest; None: nothing was above 0
    alarms: int  # events by the chosen threshold, those that may be real left out
    verdict: Verdict
    on: float  # proposed; the chosen one if it is kept


class _Minute:
    """Highest scores of one minute, and where they are, by label."""

    def __init__(self, n_labels: int) -> None:
        self.highest: Samples = np.zeros(n_labels, np.float32)
        self.at_s: Samples = np.zeros(n_labels, np.float32)

    def feed(self, reached: Samples, at_s: float) -> None:
        is_higher = reached > self.highest
        self.highest[is_higher] = reached[is_higher]
        self.at_s[is_higher] = at_s


class SiteSound:
    """What one model's labels reached in the sound of a site."""

    def __init__(self, labels: Sequence[str], period_s: float) -> None:
        """`labels`: those that are reported; `period_s`: from one clip to the next."""
        self.heard_s = 0.0
        self.all_gated = True  # no clip was above the gate
        self._period_s = period_s
        self._labels = {label: index for index, label in enumerate(labels)}
        self._minutes: dict[tuple[int, int], _Minute] = {}  # by recording, and minute in it
        self._events: list[Passage] = []
        self._recording = -1
        self._began: datetime | None = None

    def begin_recording(self) -> None:
        """Take the next clips as those of another recording."""
        self._recording += 1
        self._began = None

    def feed(self, scores: Scores, reached: Mapping[str, float], events: Sequence[Event]) -> None:
        """Take one clip: what its scores reached, by label (`Detector.reached`), and the events that it ended."""
        # a first clip is that much sound; of each other one only a period is new
        self.heard_s += self._period_s if self._began else max(self._period_s, scores.duration_s)
        self.all_gated = self.all_gated and scores.values is None
        began = self._began = self._began or scores.at
        at_s = (scores.at - began).total_seconds()
        key = self._recording, int(at_s // _MINUTE_S)
        if key not in self._minutes:
            self._minutes[key] = _Minute(len(self._labels))
        self._minutes[key].feed(np.array([reached[label] for label in self._labels], np.float32), at_s)
        self.take_events(events)

    def take_events(self, events: Sequence[Event]) -> None:
        """Take events; only those that ended count."""
        for event in events:
            if event.kind == "offset" and self._began is not None:
                stop_s = (event.at - self._began).total_seconds()
                begins = Place(self._recording, max(0.0, stop_s - event.duration_s))
                self._events.append(Passage(event.label, begins, event.duration_s, event.score))

    def may_be_real(self) -> list[Passage]:
        """Return the events that score so high and last so long that they may be real."""
        return [each for each in self._events if each.score >= REAL_SCORE and each.duration_s >= REAL_S]

    def propose(
        self, label: str, chosen: Threshold, alarms_per_day: float, *, every: bool, lower: bool, warns: bool
    ) -> Proposal:
        """Return what is proposed for a label.

        `every`: no passage is a real sound, and a threshold that warns of danger may rise too. `lower`: thresholds may
        become lower. `warns`: whether the label warns of danger.
        """
        real = [] if every else [each for each in self.may_be_real() if each.label == label]
        left_out = {minute for passage in real for minute in _minutes_of(passage)}
        minutes = {key: minute for key, minute in self._minutes.items() if key not in left_out}
        alarms = sum(each.label == label and each not in real for each in self._events)
        index = self._labels[label]
        found = sorted((float(minute.highest[index]) for minute in minutes.values()), reverse=True)
        if len(found) <= LEAST_TAIL:
            return Proposal(label, chosen, 0.0, None, alarms, Verdict.REAL, chosen.on)
        heard_days = self.heard_s * len(minutes) / len(self._minutes) / 86_400
        wanted = _threshold(found, alarms_per_day * heard_days)
        on = _hundredth_above(wanted)
        (recording, _), best = max(minutes.items(), key=lambda item: float(item[1].highest[index]))
        place = Place(recording, float(best.at_s[index])) if found[0] > 0 else None
        verdict = Verdict.KEEP
        # the chosen one is as high as thresholds go, and is reached nevertheless
        is_beyond = wanted >= chosen.on and found[0] >= max(chosen.on, HIGHEST_ON)
        if (on > chosen.on or is_beyond) and not chosen.is_never:
            verdict = Verdict.WARNING if warns and not every else Verdict.CHANGE
            if found[0] >= HIGHEST_ON:
                verdict = Verdict.ALIKE
        elif lower and not warns:
            on = max(on, _hundredth_above(chosen.on * LOWEST_SHARE))
            verdict = Verdict.CHANGE if on < chosen.on else Verdict.KEEP
        return Proposal(label, chosen, found[0], place, alarms, verdict, on if verdict is Verdict.CHANGE else chosen.on)


def _minutes_of(passage: Passage) -> list[tuple[int, int]]:
    first_s, last_s = passage.begins.offset_s, passage.begins.offset_s + passage.duration_s
    # scores of clips that overlap its ends are of it too
    first, last = int(first_s // _MINUTE_S) - 1, int(last_s // _MINUTE_S) + 1
    return [(passage.begins.recording, minute) for minute in range(first, last + 1)]


def _threshold(highest: Sequence[float], allowed: float) -> float:
    """Return the score that `allowed` minutes may reach. `highest`: of each minute, the highest first."""
    if allowed >= 1:
        return highest[min(floor(allowed), len(highest) - 1)]
    values = [logit(score) for score in highest]
    n_tail = min(max(LEAST_TAIL, ceil(TAIL * len(values))), len(values) - 1)
    distance = sum(values[:n_tail]) / n_tail - values[n_tail]
    margin = max(distance, LEAST_DISTANCE) * log(1 / allowed)
    return sigmoid(values[0] + min(margin, MOST_MARGIN))


def _hundredth_above(score: float) -> float:
    return min((floor(score * _STEP) + 1) / _STEP, HIGHEST_ON)
