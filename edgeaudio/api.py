"""The Python interface: generators of predictions, events or utterances, from a file, a URL, a microphone or samples.

Owns: the arguments, their checks, and the opening of sources.
Does not know: MQTT, settings, retries: a live source that fails raises.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterable, Generator, Iterable, Iterator, Sequence
from datetime import MAXYEAR, MINYEAR, UTC, datetime
from math import isnan, nan
from numbers import Real
from pathlib import Path
from typing import Literal, TypeAlias
from uuid import UUID

from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.connection import open_source
from edgeaudio.capture.errors import SourceError
from edgeaudio.errors import EdgeaudioError
from edgeaudio.inputs import SOURCE_NAME, Format, Inlet, Piece, pieces_of
from edgeaudio.predictions import Prediction, PredictionPipeline
from edgeaudio.recognise.bundled_models import DEFAULT_MODEL, find_model
from edgeaudio.recognise.fused_model import LoadedModel
from edgeaudio.recognise.manifest import MAX_PERIOD_MS, MIN_PERIOD_MS
from edgeaudio.recognise.model import load_model as load_model_directory
from edgeaudio.recognise.pipeline import GATE_DBFS, ModelBinding, SourcePipeline
from edgeaudio.recognise.utterances import UtterancePipeline
from edgeaudio.types import Block, Channel, Event, Utterance

MICROPHONE = "microphone"

Source: TypeAlias = "str | Path | Piece | Iterable[Piece]"
Models = str | Path | LoadedModel | Sequence[str | Path | LoadedModel]


def load_model(model: str | Path) -> LoadedModel:
    """Load a bundled model by its name, or the model in a directory. Raises EdgeaudioError.

    Several calls of `listen` and `detect`, in several threads, may share a loaded model: they take turns, clip by clip.
    Threads that are to compute in parallel load it once each.
    """
    if not isinstance(model, (str, Path)):
        raise EdgeaudioError(f"a model is {model!r}; a name or a path is possible")
    return load_model_directory(find_model(model))


def listen(  # noqa: PLR0913 (independent keywords)
    source: Source,
    models: Models = DEFAULT_MODEL,
    *,
    period_ms: float | None = None,
    include_scores: bool = False,
    gate_dbfs: float = GATE_DBFS,
    sample_rate: float = 16_000,
    channels: int | None = None,
    channel: Channel = "auto",
    start: datetime | None = None,
) -> Generator[Prediction, None, None]:
    """Listen to a source until it ends, yielding one `Prediction` per clip and model, in the order of the clips' ends.

    source: a path, a URL, `"microphone"`, a NumPy array or array.array, or an iterable of pieces: arrays, Blocks, or
        bytes, 16-bit little-endian PCM in pieces of any length. Arrays are int16, or floats from -1 to 1, `(n,)` or
        `(n, channels)`.
    models: the name of a bundled or added model, a model directory or a loaded model, or several of them.
    period_ms: from one clip's beginning to the next one's; None: 1024, or less for a model whose clips are shorter, so
        that clips cover all of the sound. A stateful model has steps of its own, and takes no other period.
    gate_dbfs: clips with a lower RMS level are silence, and the model does not run.
    sample_rate: of bytes and arrays, in Hz.
    channels: interleaved in bytes and array.array; otherwise the array's shape tells.
    channel: the one that is recognised, from 1; `"mix"`: the mean of all; `"auto"`: the mean, or the loudest if they
        cancel each other out.
    start: time of the first sample of a recording, of bytes or of arrays; None: now. Live sources have their own
        times.

    Bytes and arrays are contiguous sound, whose time is counted in samples: a generator that pauses leaves no hole, and
    `at` is `start` plus `offset_s`. Sound with holes is passed as Blocks, a new epoch after each hole: no clip spans
    a hole, and `offset_s` grows by as much as `at`.

    Raises EdgeaudioError in one line: at the call for bad arguments and models, while iterating if the source fails. A
    live source is tried once; `edgeaudio run` is the service that retries.

    The number of BLAS threads of the process is not changed. OpenBLAS's workers spin between the small products made
    here: to save that, set OPENBLAS_NUM_THREADS=1 before NumPy is imported, as the command line does.
    """
    form = Format.of(sample_rate, channels, channel)
    loaded = _loaded(models)
    pipeline = PredictionPipeline(loaded, _period_s(period_ms, loaded), _gate_dbfs(gate_dbfs), form.channel)
    return _predictions(_blocks(source, form, _start(start)), pipeline, include_scores=include_scores)


def alisten(  # noqa: PLR0913 (as listen)
    source: AsyncIterable[Piece],
    models: Models = DEFAULT_MODEL,
    *,
    period_ms: float | None = None,
    include_scores: bool = False,
    gate_dbfs: float = GATE_DBFS,
    sample_rate: float = 16_000,
    channels: int | None = None,
    channel: Channel = "auto",
    start: datetime | None = None,
) -> AsyncGenerator[Prediction, None]:
    """Listen, as `listen` does, to pieces from an async generator.

    Models run in a thread, so that the event loop is not blocked.
    """
    form = Format.of(sample_rate, channels, channel)
    loaded = _loaded(models)
    pipeline = PredictionPipeline(loaded, _period_s(period_ms, loaded), _gate_dbfs(gate_dbfs), form.channel)
    if not isinstance(source, AsyncIterable):
        raise EdgeaudioError(
            f"the source is {type(source).__name__}; async iterables are possible (listen takes others)"
        )
    return _predictions_async(source, Inlet(form, _start(start)), pipeline, include_scores=include_scores)


def detect(
    source: Source,
    models: Models = DEFAULT_MODEL,
    *,
    gate_dbfs: float = GATE_DBFS,
    sample_rate: float = 16_000,
    channels: int | None = None,
    channel: Channel = "auto",
    start: datetime | None = None,
) -> Generator[Event, None, None]:
    """Listen to a source until it ends, yielding the `Event`s that the agent would report: onsets, and their offsets.

    It uses the agent's own pipeline and detector, with the periods, thresholds and votes of the models' manifests.
    Arguments are those of `listen`. A sound's position in a recording is its `at` less `start`. Events that are open at
    the end end there.
    """
    form = Format.of(sample_rate, channels, channel)
    bindings = [ModelBinding(model) for model in _loaded(models)]
    gate_dbfs = _gate_dbfs(gate_dbfs)
    pipeline = SourcePipeline(SOURCE_NAME, bindings, namespace=UUID(int=0), gate_dbfs=gate_dbfs, channel=form.channel)
    return _events(_blocks(source, form, _start(start)), pipeline)


def utterances(
    source: Source,
    *,
    sample_rate: float = 16_000,
    channels: int | None = None,
    channel: int | Literal["mix"] = "mix",
    start: datetime | None = None,
) -> Generator[Utterance, None, None]:
    """Listen to a source until it ends, yielding each `Utterance`: sound in which somebody spoke, at 16 kHz.

    channel: the one that is listened to, from 1; `"mix"`: the mean of all. Other arguments are those of `listen`.

    An utterance comes half a second after its end. It has up to 0.3 s of sound before and after the speech, and at most
    30 s: longer ones are split at a pause. Nothing is joined over a hole. An utterance that goes on at the end of the
    source ends there.
    """
    form = Format.of(sample_rate, channels, channel)
    if form.channel == "auto":
        raise EdgeaudioError('channel is "auto"; "mix" and numbers from 1 are possible')
    return _utterances(_blocks(source, form, _start(start)), UtterancePipeline(form.channel))


def _loaded(models: Models) -> list[LoadedModel]:
    try:
        several = [models] if isinstance(models, (str, Path, LoadedModel)) else list(models)
    except TypeError:
        raise EdgeaudioError(
            f"models is {models!r}; names, paths, loaded models and lists of them are possible"
        ) from None
    if not several:
        raise EdgeaudioError("models is empty; name at least one")
    return [model if isinstance(model, LoadedModel) else load_model(model) for model in several]


def _period_s(period_ms: float | None, models: Sequence[LoadedModel]) -> float | None:
    if period_ms is None:
        return None
    own = next((model.manifest for model in models if model.manifest.input.stateful), None)
    if own is not None:
        raise EdgeaudioError(
            f"period_ms is {period_ms!r}; the model {own.name} remembers what it heard, and takes its own steps of "
            f"{1000 * own.period_s:g} ms: leave it out"
        )
    number = _number(period_ms)
    if not MIN_PERIOD_MS <= number <= MAX_PERIOD_MS:
        raise EdgeaudioError(f"period_ms is {period_ms!r}; {MIN_PERIOD_MS} to {MAX_PERIOD_MS} are possible")
    return number / 1000


def _gate_dbfs(gate_dbfs: float) -> float:
    number = _number(gate_dbfs)
    if isnan(number):
        raise EdgeaudioError(f"gate_dbfs is {gate_dbfs!r}; a number is possible, such as {GATE_DBFS:g}")
    return number


def _number(value: object) -> float:
    """Return a value as a float; NaN if it is no number."""
    return float(value) if isinstance(value, Real) else nan


def _start(start: datetime | None) -> datetime | None:
    if start is None:
        return None
    if not isinstance(start, datetime):
        raise EdgeaudioError(f"start is {start!r}; a datetime is possible, such as datetime(2026, 1, 31, tzinfo=UTC)")
    if start.tzinfo is None:
        raise EdgeaudioError("start has no time zone; give it one, such as datetime(2026, 1, 31, 12, tzinfo=UTC)")
    if not MINYEAR + 1 < start.year < MAXYEAR - 1:  # earlier and later samples must have times, too
        raise EdgeaudioError(f"start is in the year {start.year}, which leaves no room for the times of its sound")
    return start.astimezone(UTC)


def _events(blocks: Iterable[Block], pipeline: SourcePipeline) -> Generator[Event, None, None]:
    failure = None
    try:
        for block in blocks:
            yield from (result for result in pipeline.feed(block) if isinstance(result, Event))
    except SourceError as error:
        failure = error  # the results before it come first
    yield from (result for result in pipeline.flush() if isinstance(result, Event))
    if failure:
        raise failure


def _utterances(blocks: Iterable[Block], pipeline: UtterancePipeline) -> Generator[Utterance, None, None]:
    failure = None
    try:
        for block in blocks:
            yield from pipeline.feed(block)
    except SourceError as error:
        failure = error  # the results before it come first
    yield from pipeline.flush()
    if failure:
        raise failure


def _predictions(
    blocks: _OpenedSource | Iterator[Block], pipeline: PredictionPipeline, *, include_scores: bool
) -> Generator[Prediction, None, None]:
    failure = None
    try:
        for block in blocks:
            if isinstance(blocks, _OpenedSource) and blocks.recorded:
                pipeline.began(blocks.start)  # sound may begin after the recording
            yield from pipeline.feed(block, include_scores=include_scores)
    except SourceError as error:
        failure = error  # the results before it come first
    yield from pipeline.flush(include_scores=include_scores)
    if failure:
        raise failure


async def _predictions_async(
    source: AsyncIterable[Piece], inlet: Inlet, pipeline: PredictionPipeline, *, include_scores: bool
) -> AsyncGenerator[Prediction, None]:
    def predict(block: Block) -> list[Prediction]:
        return list(pipeline.feed(block, include_scores=include_scores))

    async for piece in source:
        for block in inlet.feed(piece):  # of at most a second: results of a large piece come before its end
            for prediction in await asyncio.to_thread(predict, block):
                yield prediction
    for prediction in await asyncio.to_thread(lambda: list(pipeline.flush(include_scores=include_scores))):
        yield prediction


def _blocks(source: Source, form: Format, start: datetime | None) -> _OpenedSource | Iterator[Block]:
    if isinstance(source, (str, Path)):
        url = "alsa:default" if source == MICROPHONE else str(source)
        return _OpenedSource(SourceConfig(name=SOURCE_NAME, url=url, channel=form.channel), start)
    return _fed(pieces_of(source), Inlet(form, start))


def _fed(pieces: Iterator[Piece], inlet: Inlet) -> Iterator[Block]:
    for piece in pieces:
        yield from inlet.feed(piece)


class _OpenedSource:
    """Blocks of a source that is opened here; iterate once."""

    def __init__(self, config: SourceConfig, start: datetime | None) -> None:
        self.recorded = False
        self.start = start or datetime.now(UTC)
        self._config = config

    def __iter__(self) -> Iterator[Block]:
        with open_source(self._config, threading.Event(), media_start=self.start) as connection:
            self.recorded = connection.recorded
            yield from connection
