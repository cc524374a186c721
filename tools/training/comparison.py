"""Comparison of scores before and after a conversion, and thresholds: scores in, tables of Markdown out.

Owns: agreement and differences between two sets of scores; precision, recall and thresholds.
Does not know: Keras, TFLite or files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeaudio.recognise.manifest import DetectorSection, Threshold

Samples = NDArray[np.float32]

LOWEST_ON = 0.3  # a threshold under it would rest on a handful of recordings
SURE = 0.5
OFF_SHARE = 0.6  # of the on threshold


@dataclass(frozen=True, slots=True, eq=False)
class LabelledClips:
    """Clips of recordings: `owners[i]` is the recording of clip i, `labels` the recordings' folders."""

    values: Sequence[Samples]
    owners: NDArray[np.intp]
    labels: tuple[str, ...]

    def subset(self, indices: Sequence[int]) -> LabelledClips:
        """Return some of the clips."""
        return LabelledClips([self.values[i] for i in indices], self.owners[list(indices)], self.labels)

    def recording_scores(self, scores: Samples) -> tuple[Samples, tuple[str, ...]]:
        """Return mean scores of whole recordings, `(n_recordings, n_labels)`, and the recordings' labels."""
        rows, names = [], []
        for owner, label in self._recordings():
            rows.append(scores[self.owners == owner].mean(axis=0))
            names.append(label)
        return np.stack(rows), tuple(names)

    def detectable(self, scores: Samples, detector: DetectorSection) -> tuple[Samples, tuple[str, ...]]:
        """Return, per recording, the highest threshold at which the detector would still report each label."""
        rows, names = [], []
        for owner, label in self._recordings():
            clips = scores[self.owners == owner]
            means = [clips[max(0, i + 1 - detector.mean_of) : i + 1].mean(axis=0) for i in range(len(clips))]
            voted = [
                np.sort(means[max(0, i + 1 - detector.votes_of) : i + 1], axis=0)[-detector.votes]
                for i in range(detector.votes - 1, len(means))
            ]
            rows.append(np.max(voted, axis=0) if voted else np.zeros(scores.shape[1], dtype=np.float32))
            names.append(label)
        return np.stack(rows), tuple(names)

    def _recordings(self) -> list[tuple[int, str]]:
        return [(int(owner), self.labels[owner]) for owner in np.unique(self.owners)]


def compare(wanted: Samples, got: Samples, clips: LabelledClips, labels: Sequence[str]) -> list[str]:
    """Return a table of how converted scores differ from the original's, and of accuracy where labels are known."""
    difference = np.abs(wanted - got)
    sure = wanted.max(axis=1) >= SURE  # where nothing is heard, the highest of scores near zero says nothing
    agreement = float(np.mean(wanted[sure].argmax(axis=1) == got[sure].argmax(axis=1))) if sure.any() else 1.0
    n_recordings = len(np.unique(clips.owners))
    sentence = (
        f"Compared on {len(got)} clips of {n_recordings} recordings: the label with the highest score agrees on "
        f"{agreement:.2%} of the {sure.sum()} clips where Keras gives it {SURE} or more; scores differ by "
        f"{difference.mean():.4f} in the mean and {difference.max():.3f} at most."
    )
    before, names = clips.recording_scores(wanted)
    after, _ = clips.recording_scores(got)
    known = np.array([name in labels for name in names])
    if known.any():
        truth = np.array([labels.index(name) for name in names if name in labels])
        accuracy = [float(np.mean(rows[known].argmax(axis=1) == truth)) for rows in (before, after)]
        sentence += (
            f" Accuracy over the {len(truth)} recordings that carry a label of the model (best mean score): "
            f"{accuracy[0]:.2%} before, {accuracy[1]:.2%} after the conversion."
        )
    return ["", sentence]


def too_different(wanted: Samples, got: Samples, largest: float, mean: float) -> str:
    """Return which limits are exceeded, in words; empty if none is."""
    difference = np.abs(wanted - got)
    if difference.max() > largest:
        return f"a score differs by {difference.max():.3f} from Keras's, more than {largest:g}"
    if difference.mean() > mean:
        return f"scores differ by {difference.mean():.4f} from Keras's in the mean, more than {mean:g}"
    return ""


def calibrate(
    scores: Samples, clips: LabelledClips, labels: Sequence[str], detector: DetectorSection, precision: float
) -> tuple[dict[str, Threshold], list[str]]:
    """Return, per label, the lowest threshold with the wanted precision over recordings, and its recall.

    A recording counts as found if the detector, with its means and votes, would report it.
    """
    rows, names = clips.detectable(scores, detector)
    thresholds: dict[str, Threshold] = {}
    lines = [
        "",
        f"Thresholds for a precision of {precision:.0%} over these recordings:",
        "",
        "| label | on | off | recordings | precision | recall |",
        "|---|---|---|---|---|---|",
    ]
    for index, label in enumerate(labels):
        truth = np.array([name == label for name in names])
        if not truth.any():
            lines.append(f"| {label} | draft's | draft's | 0 | - | - |")
            continue
        on, reached, recall = _threshold(rows[:, index], truth, precision)
        thresholds[label] = Threshold(on, round(on * OFF_SHARE, 3))
        lines.append(f"| {label} | {on:.3f} | {on * OFF_SHARE:.3f} | {truth.sum()} | {reached:.1%} | {recall:.1%} |")
    return thresholds, lines


def _threshold(scores: Samples, truth: NDArray[np.bool_], precision: float) -> tuple[float, float, float]:
    """Return threshold, precision and recall; the best precision if the wanted one is out of reach."""
    order = np.argsort(-scores, kind="stable")
    right = np.cumsum(truth[order])
    shares = right / np.arange(1, len(order) + 1)
    reached = np.flatnonzero(shares >= precision)
    last = int(reached[-1]) if reached.size else int(np.argmax(shares))
    # half-way to the next lower score: the threshold is not to sit on a recording
    below = scores[order[last + 1]] if last + 1 < len(order) else 0.0
    on = float(np.clip((scores[order[last]] + below) / 2, LOWEST_ON, 0.99))
    over = scores >= on
    found = float(np.mean(truth[over])) if over.any() else 0.0
    return round(on, 3), found, float(np.mean(over[truth]))
