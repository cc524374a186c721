"""Scores of groups: the maximum of their labels'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edgeaudio.types import Samples


class Groups:
    """The groups of a model's labels."""

    def __init__(self, labels: Sequence[str], groups: Mapping[str, Sequence[str]]) -> None:
        members = [[labels.index(name) for name in group] for group in groups.values()]
        self._members = np.array([index for group in members for index in group], dtype=np.intp)  # of all groups
        self._starts = np.cumsum([0, *map(len, members)], dtype=np.intp)[:-1]  # in _members

    def added_to(self, labels: Samples) -> Samples:
        """Return scores `(n_labels + n_groups,)` from those of labels `(n_labels,)`; NaN, no score, counts for none."""
        if not len(self._members):
            return labels
        return np.concatenate([labels, np.fmax.reduceat(labels[self._members], self._starts)])
