"""Steps of a signal for a stateful model: each frame is given to the model once, and every step makes a score.

Owns: which samples and frames a step consists of, and which sound its score is about.
Does not know: sources, time of day, models, scores.

The model remembers what it heard, so that a score is about the last `n_samples` of the signal: that is the clip which
is reported, shorter at the signal's beginning. Clips begin and end at whole POWER_STEP_S, so that their levels are
computed once. A step's values depend on the signal alone: they are bit-equal however the input is split.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

import numpy as np

from edgeaudio.decibels import dbfs
from edgeaudio.recognise.buffer import SampleBuffer
from edgeaudio.recognise.clips import Clip
from edgeaudio.recognise.feature_config import FeatureConfig
from edgeaudio.recognise.features import clip_features, frame_features
from edgeaudio.types import POWER_STEP_S, Samples


@dataclass(frozen=True, slots=True)
class StepConfig:
    """Geometry of a stateful model's input."""

    sample_rate: int  # Hz
    n_samples: int  # that a score is about
    step: int  # frames of a step, or samples of a waveform
    hop: int  # samples from one step to the next
    span: int  # samples that a step is computed of
    features: FeatureConfig | None  # None: the waveform itself

    @property
    def power_length(self) -> int:
        """Samples of POWER_STEP_S, at whole ones of which clips begin."""
        return max(1, round(POWER_STEP_S * self.sample_rate))

    @property
    def longest_step_s(self) -> float:
        """The most from the beginning of one clip to that of the next."""
        return ceil(self.hop / self.power_length) * self.power_length / self.sample_rate


class StepCutter:
    """Steps of one signal for one stateful model; the signal comes in pieces of any length."""

    def __init__(self, config: StepConfig, gate_dbfs: float) -> None:
        self._config = config
        self._gate_dbfs = gate_dbfs
        self._buffer = SampleBuffer()
        self._number = 0  # of the next step
        self._micro_frontend = None
        if config.features and config.features.kind == "micro_frontend":
            from edgeaudio.recognise.micro_frontend import MicroFrontend  # noqa: PLC0415 (few models want it)

            self._micro_frontend = MicroFrontend(config.features)
        self._power_length = config.power_length
        self._powers: Samples = np.empty(0, np.float32)  # mean squares of whole POWER_STEP_S
        self._powers_from = 0  # [_powers_from, _powers_from + len(_powers)) of those of the signal

    def feed(self, samples: Samples) -> Iterator[Clip]:
        """Append samples float32 `(n,)` at the model's rate, and yield the steps that they complete."""
        config, first = self._config, self._number
        self._buffer.append(samples)
        n_steps = max(0, (self._buffer.stop - config.span) // config.hop + 1 - first)
        if not n_steps:
            return
        values = self._values(first * config.hop, n_steps)
        self._extend_powers()
        self._number += n_steps
        # one sample more is for pre-emphasis
        self._buffer.forget(min(self._number * config.hop - 1, self._powers_stop * self._power_length))
        for number in range(n_steps):
            rows = values[number * config.step : (number + 1) * config.step]
            yield self._clip((first + number) * config.hop + config.span, rows)

    def flush(self) -> Iterator[Clip]:
        """Yield the one step of a signal that is shorter than it, padded with zeros."""
        if self._number == 0 and self._buffer.stop:
            yield from self.feed(np.zeros(self._config.span - self._buffer.stop, np.float32))

    def _values(self, start: int, n_steps: int) -> Samples:
        """Return the values of the next steps, `(n_steps * step,)` or `(n_steps * step, n_features)`."""
        config, features = self._config, self._config.features
        stop = start + (n_steps - 1) * config.hop + config.span
        if features is None:
            return self._buffer.view(start, stop).copy()
        if self._micro_frontend:  # in whole numbers: equal however many frames are computed at once
            return self._micro_frontend.rows(self._buffer.view(start, stop))
        found = []
        for at in range(start, stop - config.span + 1, config.hop):
            previous = float(self._buffer.view(at - 1, at)[0]) if at else 0.0
            rows = frame_features(self._buffer.view(at, at + config.span), previous, features)
            found.append(clip_features(rows, features))
        return np.concatenate(found)

    @property
    def _powers_stop(self) -> int:
        return self._powers_from + len(self._powers)

    def _extend_powers(self) -> None:
        """Append the powers of new samples, and drop those of sound that no later clip holds."""
        length = self._power_length
        start, stop = self._powers_stop, self._buffer.stop // length
        squares = np.square(self._buffer.view(start * length, stop * length))
        new: Samples = np.add.reduce(squares.reshape(-1, length), axis=1)
        new /= np.float32(length)
        oldest = self._first_power(self._number * self._config.hop + self._config.span)
        # `oldest` may lie among the new ones, where a clip is no longer than a step
        self._powers = np.concatenate([self._powers, new])[oldest - self._powers_from :]
        self._powers_from = oldest

    def _first_power(self, stop: int) -> int:
        """Return which power is the first of the clip whose last step is computed up to the sample `stop`."""
        length = self._power_length
        return min(-(-max(0, stop - self._config.n_samples) // length), stop // length - 1)

    def _clip(self, stop: int, values: Samples) -> Clip:
        length = self._power_length
        first, last = self._first_power(stop), stop // length
        powers = self._powers[first - self._powers_from : last - self._powers_from].copy()
        level = dbfs(float(np.add.reduce(powers, dtype=np.float64)) / len(powers))
        is_quiet = level is None or level < self._gate_dbfs
        return Clip(first * length, stop, level, values, None if is_quiet else powers, is_quiet=is_quiet)
