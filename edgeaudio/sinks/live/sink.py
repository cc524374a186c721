"""The live sink: columns of the spectrum and scores of leased sources, published to the hub.

Owns: which items become results, and which scores are worth sending.
Does not know: who watches, how results are sent.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import numpy as np

from edgeaudio.sinks.live.leases import Leases
from edgeaudio.sinks.live.stream import BUFFER_S, ColumnSource
from edgeaudio.types import Block, EpochEnd, LiveColumns, LiveScores, Scores

LEAST_SCORE: Final = 0.05  # scores above it are published
MAX_LABELS: Final = 20  # the best of a clip


class LiveSink:
    """A best-effort sink (sinks/__init__.py), to be run only while some source is leased."""

    name = "live"
    accepts = frozenset({Block, EpochEnd, Scores})
    max_s = BUFFER_S

    def __init__(self, leases: Leases, publish: Callable[[LiveColumns | LiveScores], None]) -> None:
        self._leases = leases
        self._publish = publish
        self._sources: dict[str, ColumnSource] = {}  # by source

    def open(self) -> None:
        self._sources.clear()

    def close(self) -> None:
        self._sources.clear()

    def handle(self, item: object) -> None:
        if not isinstance(item, Block | EpochEnd | Scores):
            return
        now_s = time.monotonic()
        if not self._leases.is_leased(item.source, now_s):
            self._sources.pop(item.source, None)
        elif isinstance(item, Block):
            if item.source not in self._sources:
                self._sources[item.source] = ColumnSource(now_s)
            for columns in self._sources[item.source].feed(item, now_s):
                self._publish(columns)
        elif isinstance(item, Scores):
            if found := _notable(item):
                self._publish(LiveScores(item.source, item.model, item.at, item.duration_s, found))
        elif (source := self._sources.get(item.source)) is not None:
            source.end_epoch()


def _notable(scores: Scores) -> dict[str, float]:
    """Return the best scores over LEAST_SCORE by label, the highest first."""
    values = scores.values
    if values is None or scores.info is None:
        return {}
    labels = scores.info.labels
    best = np.argsort(-values, kind="stable")[:MAX_LABELS]
    return {labels[index]: float(values[index]) for index in best if values[index] > LEAST_SCORE}
