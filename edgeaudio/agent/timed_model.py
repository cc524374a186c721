"""A wrapper of models: it measures inferences, and makes a model's exceptions recognisable."""

from __future__ import annotations

import time
from collections import deque

from edgeaudio.health.report import ModelNumbers
from edgeaudio.recognise.manifest import Manifest
from edgeaudio.recognise.pipeline import ClipScorer, Scorer, stream_of
from edgeaudio.types import Samples

KEPT = 512


class ModelFailedError(Exception):
    """A model raised; its exception is the cause. It concerns every source, not one."""


class TimedModel:
    """A model whose inferences are timed: a `Scorer` for the pipeline."""

    def __init__(self, model: Scorer) -> None:
        self._model = model
        self._durations_s: deque[float] = deque(maxlen=KEPT)
        self.count = 0

    @property
    def manifest(self) -> Manifest:
        return self._model.manifest

    def scores(self, values: Samples) -> Samples:
        """Return the model's scores. Raises ModelFailedError."""
        return self.timed_scores(self._model, values)

    def stream(self) -> ClipScorer:
        """Return a stateful model in its initial state, timed like the model. Raises ModelFailedError."""
        try:
            return _TimedStream(self, stream_of(self._model))
        except Exception as error:
            raise ModelFailedError(f"the model {self.manifest.name} failed") from error

    def timed_scores(self, scorer: ClipScorer, values: Samples) -> Samples:
        """Return the scores of the model, or of one of its streams. Raises ModelFailedError."""
        begin_s = time.perf_counter()
        try:
            scores = scorer.scores(values)
        except Exception as error:
            raise ModelFailedError(f"the model {self.manifest.name} failed") from error
        self._durations_s.append(time.perf_counter() - begin_s)
        self.count += 1
        return scores

    def numbers(self, runtime: str) -> ModelNumbers:
        """Return the model's numbers for health; `runtime` is the runtime's name."""
        manifest = self.manifest
        return ModelNumbers(
            name=manifest.name,
            version=manifest.version,
            sha256=manifest.sha256,
            runtime=runtime,
            inferences=self.count,
            p50_ms=self.percentile_ms(50),
            p95_ms=self.percentile_ms(95),
        )

    def percentile_ms(self, percent: float) -> float | None:
        """Return a percentile of the latest durations, in ms; None before the first."""
        ordered = sorted(self._durations_s.copy())
        return 1000 * ordered[round(percent / 100 * (len(ordered) - 1))] if ordered else None


class _TimedStream:
    """A stateful model on one source's sound, timed."""

    def __init__(self, timed: TimedModel, stream: ClipScorer) -> None:
        self._timed = timed
        self._stream = stream

    def scores(self, values: Samples) -> Samples:
        """Return the scores. Raises ModelFailedError."""
        return self._timed.timed_scores(self._stream, values)
