"""Events in stretches of sound at every threshold, and the thresholds chosen from them.

Owns: the run through the agent's own pipeline, the count of found events and of false alarms, the calibration.
Scores do not depend on thresholds: each stretch is scored once, and the detector runs over its scores often.
Does not know: how sound is made, what a report looks like.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from edgeaudio.recognise.detector import Detector, DetectorConfig
from edgeaudio.recognise.manifest import DetectorSection, Threshold
from edgeaudio.recognise.pipeline import ModelBinding, Scorer, SourcePipeline
from edgeaudio.types import Block, Event, Scores
from tools.training.comparison import OFF_SHARE

# models that agree score low: a mean of two logits is far under the score of the one that is sure
GRID = (0.01, 0.02, 0.03, *(round(0.05 * k, 2) for k in range(1, 19)), 0.92, 0.94, 0.96, 0.97, 0.98, 0.99)
PRICES = np.geomspace(0.003, 300.0, 101)  # of one false alarm an hour, in shares of a label's scenes
START = datetime(2000, 1, 1, tzinfo=UTC)
NAMESPACE = UUID(int=0)
BLOCK_S = 0.1

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Target:
    """The labelled sound of a scene, in seconds from the scene's beginning."""

    label: str
    snr_db: int
    onset_s: float
    end_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """A run of sound, float32 (n,), and the labels that are in it; a scene has a target, a negative has none.

    budgeted: False for sound whose false alarms are reported but do not decide on thresholds.
    background: The kind of sound that is behind; empty where kinds are not told apart.
    """

    kind: str
    samples: Samples
    present: frozenset[str]
    target: Target | None = None
    budgeted: bool = True
    background: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """Scores of a stretch. heard_s: one period for each of its clips.

    fold: What is left out together when thresholds are chosen: the recordings that one model was trained without, or
        everything over one kind of background.
    """

    fold: int
    kind: str
    present: frozenset[str]
    target: Target | None
    heard_s: float
    scores: Sequence[Scores]
    budgeted: bool = True
    background: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """Results of the detector on the trials at every threshold of GRID."""

    labels: tuple[str, ...]
    trials: Sequence[Trial]
    false: NDArray[np.int64]  # (n_grid, n_trials, n_labels): onsets of labels that are not in the sound
    delay_s: NDArray[np.float64]  # (n_grid, n_trials), from the target's onset; NaN: not found, or no target

    def scenes(self, label: str, snr_db: int | None = None) -> NDArray[np.bool_]:
        """Which trials are scenes of that label, (n_trials,)."""
        targets = [trial.target for trial in self.trials]
        return np.array([t is not None and t.label == label and snr_db in (None, t.snr_db) for t in targets])

    @property
    def negative(self) -> NDArray[np.bool_]:
        """Which trials are negatives, (n_trials,)."""
        return np.array([trial.target is None for trial in self.trials])

    @property
    def budgeted(self) -> NDArray[np.bool_]:
        """Which trials' false alarms decide on thresholds, (n_trials,)."""
        return np.array([trial.budgeted for trial in self.trials])

    @property
    def folds(self) -> list[int]:
        """The folds that the trials belong to, in order."""
        return sorted({trial.fold for trial in self.trials})

    @property
    def fold(self) -> NDArray[np.int64]:
        """The trials' folds, (n_trials,)."""
        return np.array([trial.fold for trial in self.trials])

    @property
    def background(self) -> NDArray[np.str_]:
        """The trials' kinds of background, (n_trials,)."""
        return np.array([trial.background for trial in self.trials])

    @property
    def heard_s(self) -> NDArray[np.float64]:
        """How long each trial was listened to, (n_trials,)."""
        return np.array([trial.heard_s for trial in self.trials])

    @property
    def tried(self) -> tuple[str, ...]:
        """The labels of which there are scenes."""
        return tuple(label for label in self.labels if self.scenes(label).any())


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Results of the trials at thresholds that were chosen without their own fold."""

    false: NDArray[np.int64]  # (n_trials, n_labels)
    delay_s: NDArray[np.float64]  # (n_trials,); NaN: not found, or no target


@dataclass(frozen=True, slots=True)
class Prediction:
    """An event's beginning, and when the agent reports it (seconds since the sound began)."""

    event: Event
    known_s: float


def onsets(scorer: Scorer, samples: Samples, sample_rate: int) -> Iterator[Prediction]:
    """Yield the events that begin in a signal, fed in blocks, at the thresholds of the model's manifest."""
    pipeline = SourcePipeline("trial", [ModelBinding(scorer)], namespace=NAMESPACE)
    step = round(BLOCK_S * sample_rate)
    for first in range(0, len(samples), step):
        piece = samples[first : first + step]
        for result in pipeline.feed(Block("trial", 0, first, START, sample_rate, piece)):
            if isinstance(result, Event) and result.kind == "onset":
                yield Prediction(result, (first + len(piece)) / sample_rate)


def listen(scorer: Scorer, stretch: Stretch, fold: int, sample_rate: int) -> Trial:
    """Return the scores of a stretch, as the agent scores a source."""
    binding = ModelBinding(scorer)
    pipeline = SourcePipeline("trial", [binding], namespace=NAMESPACE)
    results = pipeline.feed(Block("trial", 0, 0, START, sample_rate, stretch.samples))
    scores = tuple(result for result in results if isinstance(result, Scores))
    heard_s = len(scores) * binding.effective_period_s
    groups = scorer.manifest.groups
    # of a group that sounds, nobody knows which of its labels does
    sounding = stretch.present.union(*(groups[group] for group in stretch.present & groups.keys()))
    present = sounding | {group for group, members in groups.items() if sounding & set(members)}
    return Trial(fold, stretch.kind, present, stretch.target, heard_s, scores, stretch.budgeted, stretch.background)


def go_over(trials: Sequence[Trial], labels: tuple[str, ...], detector: DetectorSection, period_s: float) -> Outcomes:
    """Run the detector on every trial at every threshold of GRID; `labels` is in the order of the scores.

    An event is known at the end of the clip that begins it. A target is found by an onset of its label that is
    known after the target's onset, and by the end of the last clip that holds some of the target.
    """
    false = np.zeros((len(GRID), len(trials), len(labels)), dtype=np.int64)
    delay_s = np.full((len(GRID), len(trials)), np.nan)
    for level, on in enumerate(GRID):
        thresholds = dict.fromkeys(labels, threshold(on))
        judged = at_thresholds(trials, labels, detector, period_s, thresholds)
        false[level], delay_s[level] = judged.false, judged.delay_s
    return Outcomes(labels, trials, false, delay_s)


def at_thresholds(
    trials: Sequence[Trial],
    labels: tuple[str, ...],
    detector: DetectorSection,
    period_s: float,
    thresholds: Mapping[str, Threshold],
) -> Judged:
    """Run the detector on every trial at given thresholds, and count as `go_over` does. labels: in order of scores."""
    false = np.zeros((len(trials), len(labels)), dtype=np.int64)
    delay_s = np.full(len(trials), np.nan)
    nothing = np.zeros(len(labels), dtype=np.float32)
    for index, trial in enumerate(trials):
        peaks = np.max([nothing, *(s.values for s in trial.scores if s.values is not None)], axis=0)
        reached = frozenset(label for label, peak in zip(labels, peaks, strict=True) if peak >= thresholds[label].on)
        if not reached:
            continue  # no event can begin, and the detector takes "none" for "all"
        config = DetectorConfig(labels, detector, thresholds, period_s, reached)
        for label, known_s, clip_s in _onsets(trial, config):
            if label not in trial.present:
                false[index, labels.index(label)] += 1
            elif np.isnan(delay_s[index]) and (target := trial.target) and label == target.label:
                in_time = target.onset_s < known_s < target.end_s + clip_s
                delay_s[index] = known_s - target.onset_s if in_time else np.nan
    return Judged(false, delay_s)


def threshold(on: float) -> Threshold:
    """Return the pair of thresholds that goes with `on`."""
    return Threshold(on, round(on * OFF_SHARE, 3))


def calibrate(
    outcomes: Outcomes, wanted: float, without_fold: int | None = None, *, worst: float = np.inf
) -> dict[str, float]:
    """Return the `on` threshold of every label with scenes, for `wanted` false alarms an hour of all labels together.

    The labels share one budget, and each false alarm is spent where it finds most: a false alarm an hour has a
    price, the same for every label, and a label takes the threshold whose share of found scenes (over all SNRs) less
    price times false alarms an hour is highest; of thresholds that are equally good, the one in the middle. The
    price is the lowest at which the false alarms of all labels keep to `wanted` over all sound, and to `worst` (or to a
    single one, which says nothing of a rate) over each kind of background; where none does, the highest is taken,
    which is as few false alarms as there can be.
    They are counted over the scenes and negatives that are budgeted. Trials of `without_fold` are not used.

    What a label pays for are its false alarms in an hour of the kind of background that gives it most: a house may be
    full of that kind, and a label that is rarely wrong in the mean may be wrong there all day.
    """
    used = np.array([trial.fold != without_fold for trial in outcomes.trials])
    counted = used & outcomes.budgeted
    labels = [label for label in outcomes.tried if (used & outcomes.scenes(label)).any()]
    columns = [outcomes.labels.index(label) for label in labels]
    hours, background = outcomes.heard_s / 3600, outcomes.background
    false = outcomes.false[:, :, columns]
    of_kinds = [counted & (background == kind) for kind in np.unique(background[counted])]
    by_kind = np.stack([false[:, kind].sum(axis=1) / hours[kind].sum() for kind in of_kinds])  # (kind, grid, label)
    in_all = false[:, counted].sum(axis=1) / hours[counted].sum()
    dearest = by_kind.max(axis=0)
    most = np.array([max(worst, 1 / hours[kind].sum()) for kind in of_kinds]) + 1e-9
    found = ~np.isnan(outcomes.delay_s)
    shares = np.stack([found[:, used & outcomes.scenes(label)].mean(axis=1) for label in labels], axis=1)
    chosen: list[int] = []
    for price in PRICES:
        worth = shares - price * dearest
        best = [np.flatnonzero(column >= column.max() - 1e-9) for column in worth.T]
        chosen = [int(levels[len(levels) // 2]) for levels in best]
        each = range(len(chosen))
        if in_all[chosen, each].sum() <= wanted and (by_kind[:, chosen, each].sum(axis=1) <= most).all():
            break
    return {label: GRID[level] for label, level in zip(labels, chosen, strict=True)}


def at(outcomes: Outcomes, thresholds: Mapping[int, Mapping[str, float]]) -> Judged:
    """Return the results of every fold at that fold's thresholds, by fold and label."""
    false = np.zeros(outcomes.false.shape[1:], dtype=np.int64)
    delay_s = np.full(len(outcomes.trials), np.nan)
    for fold, chosen in thresholds.items():
        of_fold = outcomes.fold == fold
        for label, on in chosen.items():
            level, column = GRID.index(on), outcomes.labels.index(label)
            false[of_fold, column] = outcomes.false[level, of_fold, column]
            scenes = of_fold & outcomes.scenes(label)
            delay_s[scenes] = outcomes.delay_s[level, scenes]
    return Judged(false, delay_s)


def judge(outcomes: Outcomes, wanted: float, *, worst: float = np.inf) -> Judged:
    """Return every fold's results at the thresholds that the other folds give."""
    return at(outcomes, {fold: calibrate(outcomes, wanted, fold, worst=worst) for fold in outcomes.folds})


def _onsets(trial: Trial, config: DetectorConfig) -> list[tuple[str, float, float]]:
    """Yield the label of each event that begins, its time of report, and the length of its clip, in seconds."""
    detector = Detector(config, NAMESPACE)
    return [
        (event.label, scores.offset_s + scores.duration_s, scores.duration_s)
        for scores in trial.scores
        for event in detector.feed(scores)
        if event.kind == "onset"
    ]
