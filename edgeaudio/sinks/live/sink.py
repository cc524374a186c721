"""The live sink: columns of the spectrum, scores, and sound of leased sources, published to the hub.

Owns: which items become results, and which scores are worth sending.
Does not know: who watches or listens, how results are sent.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from edgeaudio.sinks.live.continuity import BUFFER_S
from edgeaudio.sinks.live.leases import Leases
from edgeaudio.sinks.live.sound import SoundSource
from edgeaudio.sinks.live.stream import ColumnSource
from edgeaudio.types import Block, EpochEnd, Level, LiveColumns, LiveScores, LiveSound, Scores

LEAST_SCORE: Final = 0.05  # scores above it are published
MAX_LABELS: Final = 20  # the best of a clip


class LiveSink:
    """A best-effort sink (sinks/__init__.py), to be run only while some source is leased."""

    name = "live"
    accepts = frozenset({Block, EpochEnd, Level, Scores})
    max_s = BUFFER_S

    def __init__(
        self,
        watched: Leases,
        listened: Leases,
        never_with: Mapping[str, float],
        publish: Callable[[LiveColumns | LiveScores | LiveSound], None],
    ) -> None:
        """`watched`: sources whose columns and scores are wanted; `listened`: those whose sound is.

        `never_with`: by label, the score from which on sound may not be heard.
        """
        self._watched = watched
        self._listened = listened
        self._never_with = never_with
        self._publish = publish
        self._columns: dict[str, ColumnSource] = {}  # by source
        self._sounds: dict[str, SoundSource] = {}

    def open(self) -> None:
        self.close()

    def close(self) -> None:
        self._columns.clear()
        self._sounds.clear()

    def handle(self, item: object) -> None:
        if not isinstance(item, Block | EpochEnd | Level | Scores):
            return
        now_s = time.monotonic()
        if self._watched.is_leased(item.source, now_s):
            self._show(item, now_s)
        else:
            self._columns.pop(item.source, None)
        if self._listened.is_leased(item.source, now_s):
            self._sound(item, now_s)
        else:
            self._sounds.pop(item.source, None)

    def _show(self, item: Block | EpochEnd | Level | Scores, now_s: float) -> None:
        """Publish columns and scores."""
        match item:
            case Block():
                if item.source not in self._columns:
                    self._columns[item.source] = ColumnSource(now_s)
                for columns in self._columns[item.source].feed(item, now_s):
                    self._publish(columns)
            case Scores():
                if found := _notable(item):
                    self._publish(LiveScores(item.source, item.model, item.at, item.duration_s, found))
            case EpochEnd() if item.source in self._columns:
                self._columns[item.source].end_epoch()

    def _sound(self, item: Block | EpochEnd | Level | Scores, now_s: float) -> None:
        """Publish sound."""
        if item.source not in self._sounds:
            self._sounds[item.source] = SoundSource(self._never_with, now_s)
        source = self._sounds[item.source]
        for sound in source.take(item, now_s):
            self._publish(sound)


def _notable(scores: Scores) -> dict[str, float]:
    """Return the best scores over LEAST_SCORE by label, the highest first."""
    values = scores.values
    if values is None or scores.info is None:
        return {}
    labels = scores.info.labels
    best = np.argsort(-values, kind="stable")[:MAX_LABELS]
    return {labels[index]: float(values[index]) for index in best if values[index] > LEAST_SCORE}
