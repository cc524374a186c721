"""Overlapping clips of a signal, each with its features; a frame that clips share is computed once.

Owns: where clips begin and end, and the cache of feature rows that neighbouring clips share.
Does not know: sources, time of day, models, scores.

Clip k begins k periods after the signal's first sample; with features, at the frame nearest to that, so that clips
share frames. All work is done when a clip completes, on ranges that depend on the clip alone: the result is bit-equal
however the input is split.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from edgeaudio.decibels import rms_dbfs
from edgeaudio.recognise.buffer import SampleBuffer
from edgeaudio.recognise.feature_config import FeatureConfig
from edgeaudio.recognise.features import clip_features, edge_rows, frame_features
from edgeaudio.types import POWER_STEP_S, Samples

CRUMB = 0.1  # of a period; `flush` ignores less


@dataclass(frozen=True, slots=True)
class ClipConfig:
    """Geometry of a model's input."""

    sample_rate: int  # Hz
    n_samples: int
    period_s: float  # from one clip's beginning to the next one's
    features: FeatureConfig | None  # None: the waveform itself
    bare: bool = False  # clips have no values: they are those of a fused model, whose members have their own

    def same_clips(self, other: ClipConfig) -> bool:
        """True if clips are of the same length and as often, though their values may differ."""
        own, others = (replace(each, features=None, bare=False) for each in (self, other))
        return own == others

    @property
    def longest_step_s(self) -> float:
        """The most from the beginning of one clip to that of the next: beginnings are rounded to samples or frames."""
        grain = 1 if self.features is None else self.features.hop_length
        return ceil(round(self.period_s * self.sample_rate / grain, 6)) * grain / self.sample_rate


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """One clip of a signal, before its source and time are known; `types.Scores` has both."""

    start: int  # position of its first sample in the signal
    stop: int  # and of the first after it
    rms_dbfs: float | None  # None: digital silence
    values: Samples | None  # (n_samples,) or (n_frames, n_features); None: below the gate or bare, no model is run
    powers: Samples | None  # mean square of every whole POWER_STEP_S, (n,); None: below the gate
    # below the gate; a stateful model is run all the same, so that it misses nothing, and its score does not count
    is_quiet: bool = False


class ClipCutter:
    """Clips of one signal for one model; the signal comes in pieces of any length."""

    def __init__(self, config: ClipConfig, gate_dbfs: float) -> None:
        self._config = config
        self._gate_dbfs = gate_dbfs
        self._buffer = SampleBuffer()
        self._number = 0  # of the next clip
        self._last_start = -1
        features = config.features
        row_width = features.row_width if features else 0
        self._edges = features.edge_frames(config.n_samples) if features else (0, 0)  # frames with a clip's padding
        self._rows: Samples = np.empty((0, row_width), dtype=np.float32)  # log-mel rows of frames
        self._rows_from = 0  # [_rows_from, _rows_from + len(_rows)) of the signal's frame grid

    def feed(self, samples: Samples) -> Iterator[Clip]:
        """Append samples float32 `(n,)` at the model's rate, and yield the clips that they complete."""
        self._buffer.append(samples)
        while self._buffer.stop >= (start := self._start_of(self._number)) + self._config.n_samples:
            yield self._cut(start)
            self._number += 1
            # `flush` may need the samples between this clip and the next; one more is for pre-emphasis
            self._buffer.forget(start - 1)

    def flush(self) -> Iterator[Clip]:
        """Yield a last clip that ends with the signal, if more than CRUMB of a period is in no clip yet.

        A signal shorter than a clip is padded with zeros.
        """
        n_samples = self._config.n_samples
        if self._last_start < 0:
            if self._buffer.stop == 0:
                return
            self._buffer.append(np.zeros(n_samples - self._buffer.stop, dtype=np.float32))
            yield self._cut(0)
        elif (
            self._buffer.stop - self._last_start - n_samples > CRUMB * self._config.period_s * self._config.sample_rate
        ):
            yield self._cut(self._buffer.stop - n_samples, aligned=False)

    def _start_of(self, number: int) -> int:
        start = number * self._config.period_s * self._config.sample_rate
        if self._config.features is None:
            return round(start)
        hop = self._config.features.hop_length
        return round(start / hop) * hop

    def _cut(self, start: int, *, aligned: bool = True) -> Clip:
        stop = start + self._config.n_samples
        signal = self._buffer.view(start, stop)
        level = rms_dbfs(signal)
        self._last_start = start
        if level is None or level < self._gate_dbfs:
            return Clip(start, stop, level, None, None, is_quiet=True)
        powers = self._powers(signal)
        features = self._config.features
        if self._config.bare:
            return Clip(start, stop, level, None, powers)
        if features is None:
            return Clip(start, stop, level, signal.copy(), powers)
        if not aligned:
            return Clip(start, stop, level, clip_features(edge_rows(signal, slice(None), features), features), powers)
        n_frames = features.n_frames(len(signal))
        left, right = self._edges
        rows = self._shared_rows(start // features.hop_length, left, n_frames - right, features)
        if left or right:
            before = edge_rows(signal, slice(0, left), features)
            after = edge_rows(signal, slice(n_frames - right, n_frames), features)
            rows = np.concatenate([before, rows, after])
        return Clip(start, stop, level, clip_features(rows, features), powers)

    def _powers(self, signal: Samples) -> Samples:
        length = max(1, round(POWER_STEP_S * self._config.sample_rate))
        squares = np.square(signal[: len(signal) // length * length])
        powers: Samples = np.add.reduce(squares.reshape(-1, length), axis=1)
        powers /= np.float32(length)
        return powers

    def _shared_rows(self, first: int, left: int, right: int, features: FeatureConfig) -> Samples:
        """Return rows of frames `[left, right)` of the clip whose frame 0 is frame `first` of the signal."""
        begin, end = first + left, first + right
        known = self._rows_from + len(self._rows)
        if not self._rows_from <= begin <= known:
            self._rows, self._rows_from, known = np.empty((0, features.row_width), dtype=np.float32), begin, begin
        rows = self._rows[begin - self._rows_from :]
        if end > known:
            at = known * features.hop_length - features.padding
            stop = (end - 1) * features.hop_length - features.padding + features.frame_length
            previous = float(self._buffer.view(at - 1, at)[0]) if at else 0.0
            rows = np.concatenate([rows, frame_features(self._buffer.view(at, stop), previous, features)])
        self._rows, self._rows_from = rows, begin
        return rows[: end - begin]
