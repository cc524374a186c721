"""Predictions of a source's clips: Blocks in, `Prediction`s out, for Python callers.

Owns: the form of predictions, and the positions of clips in the source, over all of its epochs.
Does not know: how sources and models are opened, what a caller may pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from edgeaudio.errors import EdgeaudioError
from edgeaudio.inputs import SOURCE_NAME
from edgeaudio.recognise.manifest import MIN_PERIOD_MS
from edgeaudio.recognise.pipeline import ModelBinding, Result, Scorer, SourcePipeline
from edgeaudio.types import Block, Channel, Scores

SILENCE = "silence"
PERIOD_S = 1.024  # usual period of clips; shorter for a model with shorter clips


@dataclass(frozen=True, slots=True)
class Prediction:
    """Result of one model for one clip."""

    at: datetime  # aware UTC time of the clip's first sample
    offset_s: float  # of the clip's first sample, since the source's first, holes included
    duration_s: float
    model: str
    label: str  # the best label, or "silence" for a clip below the gate
    score: float  # of that label, 0 to 1; of silence, 1
    level_dbfs: float | None  # RMS; None: digital silence
    scores: dict[str, float] | None  # of every label and group, if requested; None for silence


class PredictionPipeline:
    """Pipeline of one call, and the position of its epochs in the source."""

    def __init__(self, models: Sequence[Scorer], period_s: float | None, gate_dbfs: float, channel: Channel) -> None:
        """`period_s`: None: the usual one of each model. Raises EdgeaudioError."""
        self._pipeline = SourcePipeline(
            SOURCE_NAME,
            [ModelBinding(model, period_s=period_s or _usual_period_s(model)) for model in models],
            namespace=UUID(int=0),
            gate_dbfs=gate_dbfs,
            channel=channel,
        )
        self._labels = labels_by_model(models)
        self._epoch: int | None = None
        self._first_at: datetime | None = None
        self._base_s = 0.0  # beginning of this epoch's offsets, in seconds since the source's beginning
        self._end_s = 0.0  # end of the last block

    def began(self, at: datetime) -> None:
        """Set when the source began, if that was before its first sample."""
        self._first_at = at

    def feed(self, block: Block, *, include_scores: bool) -> Iterator[Prediction]:
        """Yield the predictions that a block completes."""
        if block.epoch != self._epoch:
            yield from self.flush(include_scores=include_scores)
            self._epoch, self._first_at = block.epoch, self._first_at or block.at
            begin_s = max(self._end_s, (block.at - self._first_at).total_seconds())
            self._base_s = begin_s - block.offset / block.sample_rate
        yield from self._predictions(self._pipeline.feed(block), include_scores=include_scores)
        self._end_s = self._base_s + (block.offset + len(block.samples)) / block.sample_rate

    def flush(self, *, include_scores: bool) -> Iterator[Prediction]:
        """Yield the predictions of the last samples."""
        yield from self._predictions(self._pipeline.flush(), include_scores=include_scores)

    def _predictions(self, results: Iterable[Result], *, include_scores: bool) -> Iterator[Prediction]:
        for result in results:
            if isinstance(result, Scores):
                labels = self._labels[result.model]
                yield _prediction(result, labels, self._base_s + result.offset_s, include_scores=include_scores)


def _prediction(result: Scores, labels: tuple[str, ...], offset_s: float, *, include_scores: bool) -> Prediction:
    label, score, scores = SILENCE, 1.0, None
    if result.values is not None:
        best = int(result.values.argmax())
        label, score = labels[best], float(result.values[best])
        if include_scores:
            scores = dict(zip(labels, map(float, result.values), strict=True))
    return Prediction(
        at=result.at,
        offset_s=offset_s,
        duration_s=result.duration_s,
        model=result.model,
        label=label,
        score=score,
        level_dbfs=result.rms_dbfs,
        scores=scores,
    )


def labels_by_model(models: Iterable[Scorer]) -> dict[str, tuple[str, ...]]:
    """Return each model's labels and groups, by its name. Raises EdgeaudioError if two models of one name differ."""
    labels: dict[str, tuple[str, ...]] = {}
    for model in models:
        name, reported = model.manifest.name, model.manifest.reported
        if labels.setdefault(name, reported) != reported:
            raise EdgeaudioError("two models of one name have different labels; rename one in its model.toml")
    return labels


def _usual_period_s(model: Scorer) -> float:
    clip = model.manifest.clip
    return max(MIN_PERIOD_MS / 1000, min(PERIOD_S, clip.n_samples / clip.sample_rate))
