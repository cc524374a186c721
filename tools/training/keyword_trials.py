"""Keywords in running sound: which were reported, taken for another, or missed, and what was reported without one.

Owns: the run through the agent's own pipeline, the assignment of reported words to spoken ones, the threshold.
Scores do not depend on thresholds: each passage is scored once, and the detector runs over its scores often.
Does not know: how sound is made, what a report looks like.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeaudio.recognise.detector import Detector, DetectorConfig
from edgeaudio.recognise.manifest import Manifest, Threshold
from edgeaudio.recognise.pipeline import ModelBinding, Scorer, SourcePipeline
from edgeaudio.types import Block, Scores
from tools.training.event_trials import NAMESPACE, START
from tools.training.keyword_data import OTHERS

Samples = NDArray[np.float32]

GRID = (0.4, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.84, 0.88, 0.9, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98)
OFF_SHARE = 0.5  # of the on threshold
NEVER = Threshold(1.0, 1.0)  # of the classes that are no keyword
MISSED = -1


@dataclass(frozen=True, slots=True)
class Spoken:
    """A word in a passage, in seconds from its beginning."""

    label: str
    start_s: float
    stop_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Passage:
    """A run of sound, float32 (n,), and the keywords in it. kind: the condition, or what sounds without keywords."""

    kind: str
    samples: Samples
    spoken: tuple[Spoken, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """A reported keyword: its label, when it is said to begin, and when the report came, in seconds."""

    label: str
    at_s: float
    known_s: float


@dataclass(slots=True)
class Tally:
    """What came of passages at one threshold. Rows and columns of `answers` are keywords."""

    answers: NDArray[np.int64]  # (n_keywords, n_keywords + 1): of each spoken word what was reported; last: nothing
    inserted: NDArray[np.int64]  # (n_keywords,): reported where no word was left to be reported
    heard_s: float = 0.0
    delays_s: list[float] = field(default_factory=list)  # from a word's end to its report
    errors_s: list[float] = field(default_factory=list)  # of the reported beginning

    @classmethod
    def empty(cls, n_keywords: int) -> Tally:
        """Return the tally of nothing."""
        return cls(np.zeros((n_keywords, n_keywords + 1), np.int64), np.zeros(n_keywords, np.int64))

    @classmethod
    def sum(cls, tallies: Sequence[Tally]) -> Tally:
        """Return the tally of all; there is at least one."""
        total = cls.empty(len(tallies[0].inserted))
        for tally in tallies:
            total.answers += tally.answers
            total.inserted += tally.inserted
            total.heard_s += tally.heard_s
            total.delays_s += tally.delays_s
            total.errors_s += tally.errors_s
        return total

    @classmethod
    def from_json(cls, table: Mapping[str, Any]) -> Tally:
        """Return the tally that `to_json` gave."""
        answers, inserted = (np.array(table[key], dtype=np.int64) for key in ("answers", "inserted"))
        return cls(answers, inserted, table["heard_s"], table["delays_s"], table["errors_s"])

    def to_json(self) -> dict[str, Any]:
        """Return the tally as JSON can hold it."""
        rounded = {key: [round(value, 3) for value in getattr(self, key)] for key in ("delays_s", "errors_s")}
        return {
            "answers": self.answers.tolist(),
            "inserted": self.inserted.tolist(),
            "heard_s": self.heard_s,
            **rounded,
        }

    @property
    def spoken(self) -> int:
        return int(self.answers.sum())

    @property
    def right(self) -> int:
        return int(np.trace(self.answers))

    @property
    def missed(self) -> int:
        return int(self.answers[:, -1].sum())

    @property
    def confused(self) -> int:
        return self.spoken - self.right - self.missed

    @property
    def inserted_per_hour(self) -> float:
        return 3600 * float(self.inserted.sum()) / self.heard_s if self.heard_s else 0.0


def judge(scorer: Scorer, passages: Iterable[Passage]) -> dict[str, list[Tally]]:
    """Return the tallies of passages by kind, one for each threshold of GRID."""
    keywords = keywords_of(scorer.manifest)
    tallies: dict[str, list[Tally]] = defaultdict(lambda: [Tally.empty(len(keywords)) for _ in GRID])
    for passage in passages:
        scores = listen(scorer, passage)
        for on, tally in zip(GRID, tallies[passage.kind], strict=True):
            _count(tally, passage, scores, scorer.manifest, on)
    return dict(tallies)


def listen(scorer: Scorer, passage: Passage) -> list[Scores]:
    """Return the scores of a passage, as the agent scores a source."""
    rate = scorer.manifest.clip.sample_rate
    pipeline = SourcePipeline("trial", [ModelBinding(scorer)], namespace=NAMESPACE)
    results = pipeline.feed(Block("trial", 0, 0, START, rate, passage.samples))
    return [result for result in results if isinstance(result, Scores)]


def reports(scores: Sequence[Scores], manifest: Manifest, on: float) -> list[Report]:
    """Return what the detector reports at a threshold for all keywords."""
    config = DetectorConfig(
        manifest.labels, manifest.detector, thresholds_at(on, manifest.labels), manifest.clip.period_ms / 1000
    )
    detector = Detector(config, NAMESPACE)
    return [
        Report(event.label, event.offset_s or 0.0, clip.offset_s + clip.duration_s)
        for clip in scores
        for event in detector.feed(clip)
        if event.kind == "onset"
    ]


def thresholds_at(on: float, labels: Sequence[str]) -> dict[str, Threshold]:
    """Return the thresholds of a model: the same of every keyword, and none that can be reached of other classes."""
    return {label: NEVER if label in OTHERS else Threshold(on, round(on * OFF_SHARE, 3)) for label in labels}


def threshold_for(folds: Sequence[Mapping[str, Sequence[Tally]]], budget: float) -> float:
    """Return the lowest threshold with at most `budget` false accepts an hour in the sound without a keyword.

    folds: tallies by kind, one for each threshold of GRID. Returns the highest threshold if none keeps to the budget.
    """
    negative = [tallies for fold in folds for tallies in fold.values() if not tallies[0].spoken]
    if not negative:
        return GRID[len(GRID) // 2]
    rates = [Tally.sum([tallies[level] for tallies in negative]).inserted_per_hour for level in range(len(GRID))]
    return next((on for on, rate in zip(GRID, rates, strict=True) if rate <= budget), GRID[-1])


def keywords_of(manifest: Manifest) -> list[str]:
    """Return a model's keywords, in the order of its labels."""
    return [label for label in manifest.labels if label not in OTHERS]


def _count(tally: Tally, passage: Passage, scores: Sequence[Scores], manifest: Manifest, on: float) -> None:
    keywords = keywords_of(manifest)
    reported = reports(scores, manifest, on)
    answers, inserted = assigned(passage.spoken, reported, manifest.clip.n_samples / manifest.clip.sample_rate)
    for word, answer in zip(passage.spoken, answers, strict=True):
        report = None if answer is None else reported[answer]
        tally.answers[keywords.index(word.label), keywords.index(report.label) if report else MISSED] += 1
        if report and report.label == word.label:
            tally.delays_s.append(report.known_s - word.stop_s)
            tally.errors_s.append(report.at_s - word.start_s)
    for index in inserted:
        tally.inserted[keywords.index(reported[index].label)] += 1
    tally.heard_s += len(passage.samples) / manifest.clip.sample_rate


def assigned(spoken: Sequence[Spoken], reported: Sequence[Report], clip_s: float) -> tuple[list[int | None], list[int]]:
    """Return the report of each spoken word, and the reports of none.

    A report may be that of a word that began before it came, and of which the newest clip held some; each is that of
    one word at most. First the words that were reported rightly are found, in order of time; what is left of the
    reports is wrong, and is that of a word that is left and nearest before it.
    """
    answers: list[int | None] = [None] * len(spoken)
    free = list(range(len(reported)))
    for is_right in (True, False):
        for index in list(free):
            report = reported[index]
            fitting = [
                number
                for number, word in enumerate(spoken)
                if answers[number] is None
                and word.start_s < report.known_s < word.stop_s + clip_s
                and (report.label == word.label) is is_right
            ]
            if fitting:
                answers[fitting[0]] = index
                free.remove(index)
    return answers, free
