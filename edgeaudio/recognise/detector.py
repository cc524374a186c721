"""From scores to events: thresholds with hysteresis, smoothing, votes, durations.

Owns: for one source and one model, which labels are sounding now, and the events' ids and times.
Does not know: models, audio, clocks (time comes in with the scores), where in its clips a sound is (dating.py).

Durations, holds and cool-downs are measured between the middles of the clips that count, refractory times between their
ends; an event's times are those of the sound itself.

With a refractory time an event is a moment, such as a spoken word: it is open for that long, whatever the scores do,
and the label's next one needs a score under its off threshold first. Meanwhile no other label begins an event, since
one mouth says one word at a time; a group is no label of its own, and waits for itself alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from math import ceil
from uuid import UUID, uuid5

import numpy as np

from edgeaudio.recognise import dating
from edgeaudio.recognise.adaptation import Adaptation, Raised
from edgeaudio.recognise.dating import SUSPICION, ClipScore, Date
from edgeaudio.recognise.manifest import DetectorSection, Threshold
from edgeaudio.types import Event, Samples, Scores

ROUNDING_S = 1e-6  # of positions: less than a sample
MAX_CLIPS = 1000  # clips that are kept for dating; more than overlap at any sensible period


@dataclass(slots=True)
class _Run:
    """Consecutive clips that count for a label, short lapses of a sounding event included."""

    began: Date
    began_at: datetime
    first_s: float  # middle (of a moment: end) of the first clip that completed the votes
    last_s: float  # that of the last one
    # the last clip with a vote, and the following clips that still show the sound
    tail: list[ClipScore] = field(default_factory=list)

    def heard_s(self, period_s: float) -> float:
        return self.last_s - self.first_s + period_s


@dataclass(slots=True)
class _Label:
    """State of one label."""

    index: int  # in the scores
    given: Threshold  # from the manifest or the settings
    chosen: Threshold  # the given one, or that of the last command
    threshold: Threshold  # in force: the chosen one, or a raised one
    recent: deque[float]  # the last raw scores, for the mean
    votes: deque[float]  # the last smoothed scores, for the votes
    run: _Run | None = None
    event: Event | None = None  # the onset, while it sounds
    peak: float = 0.0
    peak_members: tuple[tuple[str, float], ...] = ()  # their scores in the clip of the peak
    last_s: float | None = None  # middle of the last clip of the last event
    ended_s: float | None = None  # when the last event ended
    is_spent: bool = False  # with a refractory time: not under the off threshold since the last event


@dataclass(frozen=True, slots=True)
class DetectorConfig:
    """Configuration of one model's detector."""

    labels: tuple[str, ...]  # in the order of the scores; groups included
    detector: DetectorSection
    thresholds: Mapping[str, Threshold]
    period_s: float
    reported: frozenset[str] = field(default_factory=frozenset)  # empty: all labels
    groups: frozenset[str] = field(default_factory=frozenset)  # which of the labels are groups
    adapted: frozenset[str] = field(default_factory=frozenset)  # those whose thresholds may rise (adaptation.py)


class Detector:
    """Events of one source, from one model's scores."""

    def __init__(self, config: DetectorConfig, namespace: UUID) -> None:
        self._config = config
        self._namespace = namespace
        section = config.detector
        self._labels = {
            label: _Label(
                index,
                given := config.thresholds.get(label) or Threshold(section.on, section.off),
                given,
                given,
                deque(maxlen=section.mean_of),
                deque(maxlen=section.votes_of),
            )
            for index, label in enumerate(config.labels)
            if not config.reported or label in config.reported
        }
        self._clips: deque[Scores] = deque()  # the latest, as far back as a beginning may be
        self._count = 0  # clips of the epoch
        self._adaptation = self._new_adaptation(config.adapted)

    def onset_delay_s(self, clip_s: float) -> float:
        """Return the most sound from the beginning of an event to the end of the clip that reports it.

        The beginning lies in one of the clips that are kept for dating. From there on an event may have to wait until
        it is long enough, or until the label has rested.
        """
        section, period_s = self._config.detector, self._config.period_s
        waits_s = max(section.min_duration_s, section.cooldown_s) + period_s
        return clip_s + (self._kept_clips(clip_s) - 1) * period_s + waits_s

    def offset_delay_s(self, clip_s: float) -> float:
        """Return the most sound from the end of an event to the end of the clip that reports it.

        The end does not lie before the last clip with a vote. From there on the votes may still suffice for some clips,
        and then the event is held.
        """
        section, period_s = self._config.detector, self._config.period_s
        if section.refractory_s:
            return clip_s + section.refractory_s + period_s
        return clip_s + section.hold_s + (section.votes_of - section.votes + 1) * period_s

    @property
    def active(self) -> list[Event]:
        """Onsets of the events that have not ended."""
        return [label.event for label in self._labels.values() if label.event]

    def thresholds(self) -> dict[str, Threshold]:
        """Return the thresholds that settings and commands chose, by label."""
        return {name: label.chosen for name, label in self._labels.items()}

    def raised(self) -> Mapping[str, Raised]:
        """Return the thresholds that have risen above the chosen ones, by label. Safe for any thread."""
        return {} if self._adaptation is None else self._adaptation.raised

    def reached(self) -> dict[str, float]:
        """Return the highest threshold that the newest clip meets with its votes, by label."""
        votes = self._config.detector.votes
        return {name: _reached(label.votes, votes) for name, label in self._labels.items()}

    def replace_thresholds(self, thresholds: Mapping[str, Threshold], adapted: frozenset[str]) -> None:
        """Change the thresholds of the reported labels, and which may rise; open events stay open."""
        if adapted != self._config.adapted:
            self._config = replace(self._config, adapted=adapted)
            self._adaptation = self._new_adaptation(adapted)
        for name, label in self._labels.items():
            label.given = label.chosen = thresholds.get(name, label.chosen)
        self._enforce()

    def set_threshold(self, label: str, on: float) -> None:
        """Change a label's on threshold; its off threshold keeps the proportion to it."""
        self._labels[label].chosen = self._labels[label].given.moved(on)
        self._enforce()

    def withdraw_raised(self, label: str) -> None:
        """Have the chosen threshold of a label in force, until a sound has gone on for hours again."""
        if self._adaptation is not None:
            self._adaptation.forget(label)
            self._enforce()

    def renewed(self) -> Detector:
        """Return a detector in its initial state, with the thresholds in force here."""
        fresh = Detector(self._config, self._namespace)
        fresh._adaptation = self._adaptation
        for name, label in fresh._labels.items():
            label.given, label.chosen = self._labels[name].given, self._labels[name].chosen
        fresh._enforce()
        return fresh

    def feed(self, scores: Scores) -> list[Event]:
        """Return the events that one clip's scores begin or end. A clip below the gate counts as scores of 0."""
        self._count += 1
        self._clips.append(scores)
        if len(self._clips) > self._kept_clips(scores.duration_s):
            self._clips.popleft()
        values: Samples = np.zeros(len(self._config.labels), np.float32) if scores.values is None else scores.values
        if self._config.detector.refractory_s:
            return self._moments(values, scores)
        steps = ((name, label, float(values[label.index])) for name, label in self._labels.items())
        events = [event for name, label, score in steps if (event := self._step(name, label, score, scores))]
        if self._adaptation is not None:
            self._adapt(self._adaptation, scores)
        return events

    def end(self) -> list[Event]:
        """Forget the epoch, and return the offsets of its open events."""
        events = []
        for label in self._labels.values():
            if label.event and label.run:
                events.append(self._offset(label, label.event, label.run, is_over=True))
            label.recent.clear()
            label.votes.clear()
            label.run = label.last_s = label.ended_s = None
            label.is_spent = False
        self._clips.clear()
        self._count = 0
        return events

    def _new_adaptation(self, adapted: frozenset[str]) -> Adaptation | None:
        names = [name for name in self._labels if name in adapted]
        # a moment, such as a word, does not go on
        return Adaptation(names, self._config.period_s) if names and not self._config.detector.refractory_s else None

    def _adapt(self, adaptation: Adaptation, scores: Scores) -> None:
        votes, highest = self._config.detector.votes, adaptation.highest
        for name, before in highest.items():
            label = self._labels[name]
            # a vote no higher than what an earlier clip of the minute reached cannot make this one reach more
            if label.event is None and label.votes[-1] <= before:
                continue
            reached = _reached(label.votes, votes)
            if label.event and reached >= label.chosen.off:
                reached = max(reached, label.chosen.on)  # an event that does not end goes on
            highest[name] = max(before, reached)
        if adaptation.end_clip():
            adaptation.end_minute(self.thresholds(), scores.at)
            self._enforce()

    def _enforce(self) -> None:
        """Put the chosen thresholds in force, or those that have risen above them."""
        raised = self.raised()
        for name, label in self._labels.items():
            risen = raised[name].threshold if name in raised else label.chosen
            label.threshold = risen if risen.on > label.chosen.on else label.chosen

    def _kept_clips(self, clip_s: float) -> int:
        """Return how many clips are kept: as far back as a beginning may be."""
        section = self._config.detector
        overlapping = min(MAX_CLIPS, ceil(clip_s / self._config.period_s))
        return overlapping + section.votes_of + section.mean_of

    def _step(self, name: str, label: _Label, score: float, scores: Scores) -> Event | None:
        section = self._config.detector
        middle_s = scores.offset_s + scores.duration_s / 2
        label.recent.append(score)
        # missing scores count as 0: one clip after a reconnection is no mean of several
        smoothed = sum(label.recent) / section.mean_of
        label.votes.append(smoothed)
        limit = label.threshold.off if label.event else label.threshold.on
        may_count = label.event is not None or not label.threshold.is_never
        # most clips of most labels are far below: `max` takes a fraction of the count
        counts = may_count and max(label.votes) >= limit and sum(vote >= limit for vote in label.votes) >= section.votes
        if counts and label.run is None:
            label.run = self._begun(label, middle_s)
        if run := label.run:
            self._follow(label, run, _clip_score(scores, label.index), voted=smoothed >= limit)
        if counts and run:
            run.last_s = middle_s
            if label.event:
                _note_peak(label, smoothed, scores)
                return None
            rested = label.last_s is None or middle_s - label.last_s >= section.cooldown_s
            long_enough = run.heard_s(self._config.period_s) >= section.min_duration_s
            return self._onset(name, label, run, smoothed, scores) if rested and long_enough else None
        if label.event is None:
            label.run = None
        elif run and middle_s - run.last_s >= section.hold_s:
            return self._offset(label, label.event, run, is_over=False)
        return None

    def _moments(self, values: Samples, scores: Scores) -> list[Event]:
        """Return the events that one clip's scores begin or end, where an event lasts for the refractory time."""
        events: list[Event] = []
        groups = self._config.groups
        is_busy = any(label.event for name, label in self._labels.items() if name not in groups)
        # of the labels that one clip could begin, the one with the highest score does
        for name, label in sorted(self._labels.items(), key=lambda item: -float(values[item[1].index])):
            is_group = name in groups
            if event := self._moment(
                name, label, scores, float(values[label.index]), may_begin=is_group or not is_busy
            ):
                events.append(event)
                is_busy = is_busy or not is_group
        return events

    def _moment(self, name: str, label: _Label, scores: Scores, score: float, *, may_begin: bool) -> Event | None:
        section, threshold = self._config.detector, label.threshold
        # not the middle: that of a stateful model's first clips, which still grow, moves at half the speed
        stop_s = scores.offset_s + scores.duration_s
        label.recent.append(score)
        smoothed = sum(label.recent) / section.mean_of
        label.votes.append(smoothed)
        label.is_spent = label.is_spent and smoothed >= threshold.off
        if label.event and (run := label.run):
            _note_peak(label, smoothed, scores)
            self._follow(label, run, _clip_score(scores, label.index), voted=smoothed >= threshold.off)
            is_over = stop_s - run.last_s > section.refractory_s - ROUNDING_S
            return self._offset(label, label.event, run, is_over=False) if is_over else None
        if not may_begin or label.is_spent or threshold.is_never:
            return None
        if sum(vote >= threshold.on for vote in label.votes) < section.votes:
            return None
        label.is_spent = True
        label.run = self._begun(label, stop_s)
        self._follow(label, label.run, _clip_score(scores, label.index), voted=smoothed >= threshold.on)
        return self._onset(name, label, label.run, smoothed, scores)

    def _begun(self, label: _Label, at_s: float) -> _Run:
        """Return the run that begins with the newest clip, which completes the votes."""
        clips = list(self._clips)
        voted = next(index for index, vote in enumerate(label.votes) if vote >= label.threshold.on)
        first = len(clips) - len(label.votes) + voted
        clip_scores = [_clip_score(clip, label.index) for clip in clips]
        is_whole = len(clips) == self._count
        began = dating.beginning(clip_scores, first, SUSPICION * label.threshold.on, whole=is_whole)
        if label.ended_s is not None:
            began = replace(began, offset_s=max(began.offset_s, label.ended_s))
        at = clips[first].at + timedelta(seconds=began.offset_s - clips[first].offset_s)
        return _Run(began, at, at_s, at_s)

    def _follow(self, label: _Label, run: _Run, clip: ClipScore, *, voted: bool) -> None:
        if voted or not run.tail:
            run.tail = [clip]
        elif run.tail[-1].score >= SUSPICION * label.threshold.on and len(run.tail) < MAX_CLIPS:
            run.tail.append(clip)

    def _onset(self, name: str, label: _Label, run: _Run, score: float, scores: Scores) -> Event:
        at = run.began_at
        label.peak, label.peak_members = score, scores.members_of(label.index)
        label.event = Event(
            id=str(uuid5(self._namespace, f"{scores.source}\n{scores.model}\n{name}\n{at.isoformat()}")),
            kind="onset",
            source=scores.source,
            model=scores.model,
            label=name,
            score=score,
            at=at,
            duration_s=run.heard_s(self._config.period_s),
            at_error_s=run.began.error_s,
            epoch=scores.epoch,
            offset_s=run.began.offset_s,
            threshold=label.threshold.on,
            off_threshold=label.threshold.off,
            members=label.peak_members,
        )
        return label.event

    def _offset(self, label: _Label, onset: Event, run: _Run, *, is_over: bool) -> Event:
        goes_on = is_over and run.tail[-1].start_s == self._clips[-1].offset_s
        ended = dating.end(run.tail, 0, SUSPICION * label.threshold.on, whole=goes_on)
        lasted_s = max(onset.duration_s, ended.offset_s - run.began.offset_s)
        label.event = label.run = None
        label.last_s, label.ended_s = run.last_s, run.began.offset_s + lasted_s
        # the end is computed from the beginning, so that a step of the clock does not stretch the event
        at = onset.at + timedelta(seconds=lasted_s)
        return replace(
            onset,
            kind="offset",
            score=label.peak,
            at=at,
            duration_s=lasted_s,
            at_error_s=ended.error_s,
            offset_s=run.began.offset_s + lasted_s,
            members=label.peak_members,
        )


def _reached(votes: Collection[float], needed: int) -> float:
    """Return the highest threshold that so many of the votes meet."""
    return sorted(votes)[-needed] if len(votes) >= needed else 0.0


def _clip_score(scores: Scores, index: int) -> ClipScore:
    score = 0.0 if scores.values is None else float(scores.values[index])
    return ClipScore(scores.offset_s, scores.duration_s, score, scores.powers)


def _note_peak(label: _Label, score: float, scores: Scores) -> None:
    if score > label.peak:
        label.peak, label.peak_members = score, scores.members_of(label.index)
