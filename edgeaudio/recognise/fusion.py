"""Scores of a fused model: those of its members, combined label by label.

Owns: the arithmetic. Does not know: models, clips, times.

A member's score is a multiple of the quantum of its output, so that a score of 0 or 1 says no more than "within half a
quantum of it": for the mean of logits, scores are clamped to that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeaudio.recognise.groups import Groups
from edgeaudio.recognise.manifest import Combine, Manifest
from edgeaudio.types import Samples

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MemberOutput:
    """What a member's scores stand for."""

    reported: tuple[str, ...]  # labels, then groups
    quantum: float  # smallest difference of two scores


@dataclass(frozen=True, slots=True, eq=False)
class Combined:
    """Scores of a fused model, float32 `(n_labels + n_groups,)`."""

    values: Samples
    members: tuple[tuple[str, Samples], ...]  # each member's name and scores; NaN for what it has no label of


def mean_logit(scores: Numbers, weights: Numbers, half_quantum: Numbers | float) -> Numbers:
    """Return the score of the mean of logits, `(n_labels,)`, of scores and weights `(n_members, n_labels)`.

    The weights of a label add up to 1; scores are clamped to half a quantum from 0 and 1.
    """
    clamped = np.clip(scores, half_quantum, 1 - half_quantum)
    logits = np.log(clamped / (1 - clamped))
    return np.asarray(1 / (1 + np.exp(-(weights * logits).sum(axis=0))))


class Combination:
    """The combination that a manifest describes, of members' scores at one moment."""

    def __init__(self, manifest: Manifest, members: Sequence[MemberOutput]) -> None:
        """`members`: in the order of `manifest.fuse`, with all labels that it names."""
        self._names = [section.model for section in manifest.fuse]
        self._groups = Groups(manifest.labels, manifest.groups)
        kinds = [manifest.combine_of(label) for label in manifest.labels]
        self._kinds: dict[Combine, NDArray[np.intp]] = {
            kind: np.array([index for index, each in enumerate(kinds) if each == kind], np.intp)
            for kind in dict.fromkeys(kinds)
        }
        shape = (len(members), len(manifest.labels))
        self._has = np.zeros(shape, np.bool_)  # the member has a label for this one
        self._weights = np.zeros(shape)
        self._theirs, self._ours = [], []  # indices of the labels in a member's scores, and in these
        for index, (section, member) in enumerate(zip(manifest.fuse, members, strict=True)):
            ours = [manifest.labels.index(label) for label in section.labels]
            self._theirs.append(np.array([member.reported.index(label) for label in section.labels.values()], np.intp))
            self._ours.append(np.array(ours, np.intp))
            self._has[index, ours] = True
            self._weights[index, ours] = [section.weights.get(label, 1.0) for label in section.labels]
        self._weights /= self._weights.sum(axis=0)
        counts = self._has.sum(axis=0)
        self._alone = counts == 1
        self._half = np.array([[member.quantum / 2] for member in members])  # quanta
        self._kth = (np.minimum(max(1, manifest.k), counts) - 1)[None, :]  # of the scores in descending order

    def combined(self, scores: Sequence[Samples | None]) -> Combined:
        """Return the scores of these: of each member float32 `(n_reported,)`; None, which counts as 0."""
        given = np.where(self._has, 0.0, np.nan)
        for row, theirs, ours, values in zip(given, self._theirs, self._ours, scores, strict=True):
            if values is not None:
                row[ours] = values[theirs]
        known = np.where(self._has, given, 0.0)
        found = np.empty(len(self._alone))
        for kind, columns in self._kinds.items():
            found[columns] = self._combine(kind, known)[columns]
        # whatever the combination, one score alone is passed on as it is
        labels = np.where(self._alone, known.sum(axis=0), found).astype(np.float32)
        of_members = given.astype(np.float32)
        return Combined(
            self._groups.added_to(labels),
            tuple((name, self._groups.added_to(row)) for name, row in zip(self._names, of_members, strict=True)),
        )

    def _combine(self, kind: Combine, known: Numbers) -> Numbers:
        """Return a score for each label of `(n_members, n_labels)`, 0 where a member has no label."""
        if kind == "mean_logit":
            return mean_logit(known, self._weights, self._half)
        if kind == "mean":
            return np.asarray((self._weights * known).sum(axis=0))
        if kind == "max":
            return np.asarray(known.max(axis=0))
        if kind == "min":
            return np.asarray(np.where(self._has, known, 1.0).min(axis=0))
        descending = -np.sort(-np.where(self._has, known, -1.0), axis=0)
        return np.asarray(np.take_along_axis(descending, self._kth, axis=0)[0])
