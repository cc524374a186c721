"""From scores to events: thresholds with hysteresis, smoothing, votes, durations.

Owns: for one source and one model, which labels are sounding now, and the events' ids and times.
Does not know: models, audio, clocks (time comes in with the scores).

A clip says that a sound was somewhere in it, so an event's bounds are taken at the middles of the
first and the last clip that count for it, half a period further out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID, uuid5

import numpy as np

from edgeaudio.recognise.manifest import DetectorSection, Threshold
from edgeaudio.recognise.types import Event, Samples, Scores


@dataclass(frozen=True, slots=True)
class Instant:
    """A moment of the sound: seconds since its epoch began, and the time of day."""

    offset_s: float
    at: datetime


@dataclass(slots=True)
class _Run:
    """Clips in a row that count for a label; brief lapses of a sounding event are within it."""

    first: Instant  # middle of the first clip
    last: Instant  # middle of the last one that counted

    def heard_s(self, period_s: float) -> float:
        return self.last.offset_s - self.first.offset_s + period_s


@dataclass(slots=True)
class _Label:
    """What is remembered of one label."""

    given: Threshold  # by the manifest or the settings
    threshold: Threshold  # in force
    recent: deque[float]  # the last raw scores, for the mean
    votes: deque[float]  # the last smoothed scores, for the votes
    run: _Run | None = None
    event: Event | None = None  # the onset, while it sounds
    peak: float = 0.0
    ended: Instant | None = None


@dataclass(frozen=True, slots=True)
class DetectorConfig:
    """What turns one model's scores into events."""

    labels: tuple[str, ...]  # in the order of the scores; groups included
    detector: DetectorSection
    thresholds: Mapping[str, Threshold]
    period_s: float
    reported: frozenset[str] = field(default_factory=frozenset)  # empty: all labels


class Detector:
    """Events of one source as one model hears it."""

    def __init__(self, config: DetectorConfig, namespace: UUID) -> None:
        self._config = config
        self._namespace = namespace
        section = config.detector
        self._labels = {
            label: _Label(
                given := config.thresholds.get(label) or Threshold(section.on, section.off),
                given,
                deque(maxlen=section.mean_of),
                deque(maxlen=section.votes_of),
            )
            for label in config.labels
            if not config.reported or label in config.reported
        }
        self._indices = [i for i, label in enumerate(config.labels) if label in self._labels]

    @property
    def active(self) -> list[Event]:
        """Onsets of the events that have not ended."""
        return [label.event for label in self._labels.values() if label.event]

    def thresholds(self) -> dict[str, Threshold]:
        """The thresholds in force, by label."""
        return {name: label.threshold for name, label in self._labels.items()}

    def replace_thresholds(self, thresholds: Mapping[str, Threshold]) -> None:
        """Change the thresholds of the labels that are reported; what sounds goes on sounding."""
        for name, label in self._labels.items():
            label.given = label.threshold = thresholds.get(name, label.threshold)

    def set_threshold(self, label: str, on: float) -> None:
        """Change a label's on threshold; its off threshold keeps the proportion that was given."""
        self._labels[label].threshold = self._labels[label].given.moved(on)

    def renewed(self) -> Detector:
        """A detector that has heard nothing, with the thresholds in force here."""
        fresh = Detector(self._config, self._namespace)
        for name, label in fresh._labels.items():
            label.given, label.threshold = self._labels[name].given, self._labels[name].threshold
        return fresh

    def feed(self, scores: Scores) -> list[Event]:
        """Events that one clip's scores begin or end. A clip under the gate counts as scores of 0."""
        values: Samples = np.zeros(len(self._config.labels), np.float32) if scores.values is None else scores.values
        middle = Instant(scores.offset_s + scores.duration_s / 2, scores.at + timedelta(seconds=scores.duration_s / 2))
        events = []
        for (name, label), index in zip(self._labels.items(), self._indices, strict=True):
            event = self._step(name, label, float(values[index]), middle, scores)
            if event:
                events.append(event)
        return events

    def end(self) -> list[Event]:
        """The epoch is over: events that sounded end with what was heard of them. Forgets the epoch."""
        events = []
        for label in self._labels.values():
            if label.event and label.run:
                events.append(self._offset(label, label.event, label.run))
            label.recent.clear()
            label.votes.clear()
            label.run = label.ended = None
        return events

    def _step(self, name: str, label: _Label, score: float, middle: Instant, scores: Scores) -> Event | None:
        section = self._config.detector
        label.recent.append(score)
        # what came before the epoch counts as 0: one clip after a reconnection is no mean of several
        smoothed = sum(label.recent) / section.mean_of
        label.votes.append(smoothed)
        limit = label.threshold.off if label.event else label.threshold.on
        may_count = label.event is not None or not label.threshold.is_never
        if may_count and sum(vote >= limit for vote in label.votes) >= section.votes:
            run = label.run = label.run or _Run(middle, middle)
            run.last = middle
            if label.event:
                label.peak = max(label.peak, smoothed)
                return None
            rested = label.ended is None or middle.offset_s - label.ended.offset_s >= section.cooldown_s
            long_enough = run.heard_s(self._config.period_s) >= section.min_duration_s
            return self._onset(name, label, run, smoothed, scores) if rested and long_enough else None
        if label.event is None:
            label.run = None
        elif label.run and middle.offset_s - label.run.last.offset_s >= section.hold_s:
            return self._offset(label, label.event, label.run)
        return None

    def _onset(self, name: str, label: _Label, run: _Run, score: float, scores: Scores) -> Event:
        at = run.first.at - timedelta(seconds=self._config.period_s / 2)
        label.peak = score
        label.event = Event(
            id=str(uuid5(self._namespace, f"{scores.source}\n{scores.model}\n{name}\n{at.isoformat()}")),
            kind="onset",
            source=scores.source,
            model=scores.model,
            label=name,
            score=score,
            at=at,
            duration_s=run.heard_s(self._config.period_s),
        )
        return label.event

    def _offset(self, label: _Label, onset: Event, run: _Run) -> Event:
        heard_s = run.heard_s(self._config.period_s)
        label.event = label.run = None
        label.ended = run.last
        # the end is reckoned from the beginning, so that a step of the clock does not stretch the event
        at = onset.at + timedelta(seconds=heard_s)
        return replace(onset, kind="offset", score=label.peak, at=at, duration_s=heard_s)
