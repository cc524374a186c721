"""The pipeline as a Python generator: a file, a URL, a microphone or one's own samples in, results out.

Owns: turning whatever a caller brings into Blocks, and scores into results that read well.
Does not know: MQTT, settings, threads, retries: a live source that fails raises.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import numpy as np

from edgeaudio.capture.config import MAX_CHANNELS, MAX_SAMPLE_RATE, MIN_SAMPLE_RATE, SourceConfig
from edgeaudio.capture.reasons import SourceError
from edgeaudio.capture.source import open_source
from edgeaudio.recognise.manifest import MAX_PERIOD_MS, MIN_PERIOD_MS
from edgeaudio.recognise.model import Model
from edgeaudio.recognise.model import load_model as load_model_directory
from edgeaudio.recognise.pipeline import GATE_DBFS, ModelPlan, SourcePipeline
from edgeaudio.recognise.shipped import SHIPPED_MODEL, find_model
from edgeaudio.recognise.types import Block, EdgeaudioError, Samples, Scores

SILENCE = "silence"
MICROPHONE = "microphone"
SOURCE_NAME = "listen"
INT16_SCALE = 32768

Source = str | Path | Iterable[Block] | Iterable[bytes]


@dataclass(frozen=True, slots=True)
class Heard:
    """What one model says of one clip."""

    at: datetime  # aware UTC time of the clip's first sample; of a recording, as if it had begun now
    offset_s: float  # of the clip's first sample, since the source began
    duration_s: float
    model: str
    label: str  # the best label, or "silence" where the clip was under the gate
    score: float  # of that label, 0 to 1; of silence, 1
    level_dbfs: float | None  # RMS; None: digital silence
    scores: dict[str, float] | None  # every label's and group's, if asked for; None for silence


def load_model(model: str | Path) -> Model:
    """Load a shipped model by its name, or the model in a directory. Raises EdgeaudioError."""
    return load_model_directory(find_model(model))


def listen(
    source: Source,
    models: Sequence[str | Path | Model] = (SHIPPED_MODEL,),
    *,
    period_ms: int = 1024,
    include_scores: bool = False,
    gate_dbfs: float = GATE_DBFS,
    sample_rate: int = 16_000,
    channels: int = 1,
) -> Iterator[Heard]:
    """Listen to a source until it ends, yielding one `Heard` a clip and model.

    source: a path, a URL, `"microphone"`, an iterable of Blocks, or an iterable of bytes: 16-bit
        little-endian PCM in pieces of any length, `channels` interleaved at `sample_rate` Hz.
    models: names of shipped models, model directories, or loaded models.
    period_ms: from one clip's beginning to the next one's.
    gate_dbfs: clips with an RMS level under this are silence and are not recognised.

    Raises EdgeaudioError in one line, at the call for bad arguments and models, and while iterating
    where the source fails. A live source is tried once; a service that never gives up is `edgeaudio run`.

    The caller's process is left as it is, its number of BLAS threads too. OpenBLAS's workers spin between the small
    products made here: set OPENBLAS_NUM_THREADS=1 before NumPy is imported, as the command line does, to save that.
    """
    if not MIN_PERIOD_MS <= period_ms <= MAX_PERIOD_MS:
        raise EdgeaudioError(f"period_ms is {period_ms}; {MIN_PERIOD_MS} to {MAX_PERIOD_MS} are possible")
    if not models:
        raise EdgeaudioError("models is empty; name at least one")
    if not MIN_SAMPLE_RATE <= sample_rate <= MAX_SAMPLE_RATE or not 1 <= channels <= MAX_CHANNELS:
        raise EdgeaudioError(f"{channels} channels at {sample_rate} Hz are not possible")
    loaded = [model if isinstance(model, Model) else load_model(model) for model in models]
    pipeline = SourcePipeline(
        SOURCE_NAME,
        [ModelPlan(model, period_s=period_ms / 1000) for model in loaded],
        namespace=UUID(int=0),
        gate_dbfs=gate_dbfs,
    )
    labels = {model.manifest.name: model.manifest.reported for model in loaded}
    blocks = _blocks(source, sample_rate, channels)
    return _heard(blocks, pipeline, labels, include_scores=include_scores)


def _heard(
    blocks: Iterable[Block], pipeline: SourcePipeline, labels: dict[str, tuple[str, ...]], *, include_scores: bool
) -> Iterator[Heard]:
    epoch, before_s, length_s = -1, 0.0, 0.0  # the epochs' own offsets begin at 0 each
    failure = None
    try:
        for block in blocks:
            if block.epoch != epoch:
                yield from _named(pipeline.flush(), labels, before_s, include_scores=include_scores)
                epoch, before_s, length_s = block.epoch, before_s + length_s, 0.0
                if isinstance(blocks, _Opened) and blocks.recorded:
                    before_s = (block.at - blocks.start).total_seconds()  # sound can begin late, or have holes
            yield from _named(pipeline.feed(block), labels, before_s, include_scores=include_scores)
            length_s += block.duration_s
    except SourceError as error:
        failure = error  # what was heard before it is reported first
    yield from _named(pipeline.flush(), labels, before_s, include_scores=include_scores)
    if failure:
        raise failure


def _named(
    results: Iterable[object], labels: dict[str, tuple[str, ...]], before_s: float, *, include_scores: bool
) -> Iterator[Heard]:
    for result in results:
        if isinstance(result, Scores):
            yield _named_scores(result, labels[result.model], before_s, include_scores=include_scores)


def _named_scores(result: Scores, labels: tuple[str, ...], before_s: float, *, include_scores: bool) -> Heard:
    label, score, scores = SILENCE, 1.0, None
    if result.values is not None:
        best = int(result.values.argmax())
        label, score = labels[best], float(result.values[best])
        if include_scores:
            scores = dict(zip(labels, map(float, result.values), strict=True))
    return Heard(
        at=result.at,
        offset_s=before_s + result.offset_s,
        duration_s=result.duration_s,
        model=result.model,
        label=label,
        score=score,
        level_dbfs=result.rms_dbfs,
        scores=scores,
    )


def _blocks(source: Source, sample_rate: int, channels: int) -> Iterable[Block]:
    if isinstance(source, (str, Path)):
        url = "alsa:default" if source == MICROPHONE else str(source)
        return _Opened(SourceConfig(name=SOURCE_NAME, url=url))
    if isinstance(source, (bytes, bytearray, memoryview)):
        raise EdgeaudioError("bytes are given in an iterable, as [data]; a path is given as text")
    return _brought(iter(source), sample_rate, channels)


class _Opened:
    """The blocks of an address; iterate once."""

    def __init__(self, config: SourceConfig) -> None:
        self.recorded = False
        self.start = datetime.now(UTC)
        self._config = config

    def __iter__(self) -> Iterator[Block]:
        with open_source(self._config, threading.Event(), media_start=self.start) as connection:
            self.recorded = connection.recorded
            yield from connection


def _brought(source: Iterator[Block | bytes], sample_rate: int, channels: int) -> Iterator[Block]:
    start: datetime | None = None
    offset = 0
    rest = b""
    for piece in source:
        if isinstance(piece, Block):
            if not MIN_SAMPLE_RATE <= piece.sample_rate <= MAX_SAMPLE_RATE:
                raise EdgeaudioError(f"the source brought a Block of {piece.sample_rate} Hz, which is not possible")
            yield piece
            continue
        if not isinstance(piece, (bytes, bytearray, memoryview)):
            raise EdgeaudioError(f"the source brought {type(piece).__name__}; Blocks or bytes are possible")
        start = start or datetime.now(UTC)
        data = rest + bytes(piece)
        whole = len(data) - len(data) % (2 * channels)
        rest = data[whole:]
        samples: Samples = np.frombuffer(data[:whole], dtype="<i2").astype(np.float32) / np.float32(INT16_SCALE)
        if channels > 1:
            samples = samples.reshape(-1, channels)
        if len(samples):
            at = start + timedelta(seconds=offset / sample_rate)
            yield Block(SOURCE_NAME, 0, offset, at, sample_rate, samples)
            offset += len(samples)
