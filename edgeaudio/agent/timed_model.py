"""A wrapper of models: it measures inferences, and makes a model's exceptions recognisable."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TypeVar, cast

from edgeaudio.health.report import ModelNumbers
from edgeaudio.recognise.fusion import Combined
from edgeaudio.recognise.manifest import Manifest
from edgeaudio.recognise.pipeline import ClipScorer, FusedClipScorer, FusedScorer, Scorer, stream_of
from edgeaudio.types import Samples

KEPT = 512

Result = TypeVar("Result")


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
        return self.timed_scores(cast("ClipScorer", self._model), values)

    def stream(self) -> ClipScorer:
        """Return a stateful model in its initial state, timed like the model. Raises ModelFailedError."""
        try:
            return _TimedStream(self, stream_of(self._model))
        except Exception as error:
            raise ModelFailedError(f"the model {self.manifest.name} failed") from error

    def timed_scores(self, scorer: ClipScorer, values: Samples) -> Samples:
        """Return the scores of the model, or of one of its streams. Raises ModelFailedError."""
        scores, taken_s = self.timed(lambda: scorer.scores(values))
        self.note(taken_s)
        return scores

    def timed(self, work: Callable[[], Result]) -> tuple[Result, float]:
        """Return what some work of the model gives, and the seconds that it took. Raises ModelFailedError."""
        begin_s = time.perf_counter()
        try:
            result = work()
        except Exception as error:
            raise ModelFailedError(f"the model {self.manifest.name} failed") from error
        return result, time.perf_counter() - begin_s

    def note(self, taken_s: float) -> None:
        """Count an inference that took that long."""
        self._durations_s.append(taken_s)
        self.count += 1

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


class TimedFusedModel(TimedModel):
    """A fused model. An inference is a combination, with all that its members ran since the one before."""

    def __init__(self, model: FusedScorer) -> None:
        super().__init__(model)
        self._fused = model

    @property
    def members(self) -> Sequence[Scorer]:
        return self._fused.members

    def fused_stream(self) -> FusedClipScorer:
        """Return the model in its initial state, timed. Raises ModelFailedError."""
        return _TimedFusedStream(self, self.timed(self._fused.fused_stream)[0])


class _TimedFusedStream:
    """A fused model on one source's sound, timed."""

    def __init__(self, timed: TimedFusedModel, stream: FusedClipScorer) -> None:
        self._timed = timed
        self._stream = stream
        self._heard_s = 0.0  # spent on members since the last combination

    def hear(self, member: int, values: Samples | None, stands: tuple[Fraction, Fraction], *, counts: bool) -> None:
        """Score a member's next clip. Raises ModelFailedError."""
        _, taken_s = self._timed.timed(lambda: self._stream.hear(member, values, stands, counts=counts))
        self._heard_s += taken_s

    def combined(self, clip: tuple[Fraction, Fraction]) -> Combined:
        """Return the combination. Raises ModelFailedError."""
        combined, taken_s = self._timed.timed(lambda: self._stream.combined(clip))
        self._timed.note(self._heard_s + taken_s)
        self._heard_s = 0.0
        return combined

    def forget(self, clip: tuple[Fraction, Fraction]) -> None:
        """Forget what counts no longer, and the time that it took: the next inference is not all that was quiet."""
        self._stream.forget(clip)
        self._heard_s = 0.0


def timed_model(model: Scorer) -> TimedModel:
    """Return the model with its inferences timed."""
    return TimedFusedModel(model) if isinstance(model, FusedScorer) else TimedModel(model)
