"""A sink beside a real pipeline, without threads: sound in, clips or live sound out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import numpy as np
from support.clips import listing_of
from support.tflite import manifest_of

from edgeaudio.clips.library import Clip
from edgeaudio.recognise.manifest import ClipSection, DetectorSection
from edgeaudio.recognise.pipeline import ModelBinding, Scorer, SourcePipeline
from edgeaudio.sinks.clips.config import ClipsConfig, RetentionLimits
from edgeaudio.types import Block, Channel, EpochEnd, Event, Level, Samples, Scores

START = datetime(2026, 11, 30, 12, tzinfo=UTC)
LOUD, SPEECH = "first", "second"  # labels
STEP = 2.0**-23  # of 24 bits
QUIET = 2.0**-9


class Listener:
    """A model without a network: LOUD is sound over 0.1, SPEECH sound with a positive mean.

    Of the labels that it is not to have, the scores have other names.
    """

    def __init__(self, name: str, clip: ClipSection, labels: tuple[str, ...] = (LOUD, SPEECH), **detector: Any) -> None:
        named = (*(each if each in labels else f"no {each}" for each in (LOUD, SPEECH)), "third")
        self.manifest = manifest_of(
            "waveform", name=name, labels=named, clip=clip, detector=DetectorSection(**detector)
        )

    def scores(self, values: Samples) -> Samples:
        loud = min(1.0, 5 * float(np.abs(values).max()))
        speech = min(1.0, max(0.0, 100 * float(values.mean())))
        return np.array([loud, speech, 0.0], np.float32)


def quiet(n: int, channels: int = 1, seed: int = 0) -> Samples:
    """Noise of 24 bits whose every stretch is unlike the others, (n,) or (n, channels)."""
    limit = round(QUIET / STEP)
    values = np.random.default_rng(seed).integers(-limit, limit, (n, channels))
    sound = (values * STEP).astype(np.float32)
    return sound[:, 0] if channels == 1 else sound


def limits(**changes: Any) -> RetentionLimits:
    return RetentionLimits(
        **{"max_age_s": 1e9, "max_bytes": 1 << 40, "best_per_label": None, "min_free_bytes": 0} | changes
    )


def config(folder: Path, **changes: Any) -> ClipsConfig:
    """Clips in WAV of everything."""
    values: dict[str, Any] = {
        "device": "garden",
        "folder": folder,
        "format": "wav",
        "before_s": 3.0,
        "after_s": 2.0,
        "longest_s": 30.0,
        "labels": frozenset({LOUD}),
        "min_score": 0.0,
        "never_with": {},
        "limits": limits(),
    }
    return ClipsConfig(**values | changes)


class _Sink(Protocol):
    def handle(self, item: object) -> None: ...
    def tick(self) -> None: ...


class Studio:
    """One source: what is played goes to the sink and to the pipeline, and its results to the sink."""

    def __init__(self, sink: _Sink, models: Sequence[Scorer], *, source: str = "porch") -> None:
        self.sink = sink
        self.source = source
        self.events: list[Event] = []
        self.scores: list[Scores] = []
        self.played: list[Block] = []
        self.load(models)
        self._epoch = -1
        self._offset = 0
        self._at = START

    def load(self, models: Sequence[Scorer], channel: Channel = "auto") -> None:
        """Run these models from the next epoch on, as after a reload."""
        bindings = [ModelBinding(model) for model in models]
        self._pipeline = SourcePipeline(self.source, bindings, namespace=UUID(int=0), channel=channel)

    def connect(self, *, after_s: float = 0.0) -> None:
        """Begin another epoch, so long after the last sound."""
        if self._epoch >= 0:
            self.disconnect()
        self._epoch += 1
        self._offset = 0
        self._at += timedelta(seconds=after_s)

    def disconnect(self, *, complete: bool = False) -> None:
        self.sink.handle(EpochEnd(self.source, complete))
        for result in self._pipeline.flush() if complete else self._pipeline.end():
            self._pass(result)

    def step_clock(self, by: timedelta) -> None:
        """Set the clock while the sound goes on."""
        self._at += by

    def play(self, sound: Samples, rate: int, *, block: int = 1000) -> None:
        for begin in range(0, len(sound), block):
            piece = sound[begin : begin + block]
            item = Block(self.source, self._epoch, self._offset, self._at, rate, piece)
            self._offset += len(piece)
            self._at += timedelta(seconds=len(piece) / rate)
            self.played.append(item)
            self.sink.handle(item)
            for result in self._pipeline.feed(item):
                self._pass(result)
            self.sink.tick()

    def _pass(self, result: object) -> None:
        if isinstance(result, Event):
            self.events.append(result)
        if isinstance(result, Scores):
            self.scores.append(result)
        if isinstance(result, Event | Level | Scores):
            self.sink.handle(result)

    def sound_of(self, epoch: int) -> Samples:
        return np.concatenate([block.samples for block in self.played if block.epoch == epoch])


def clips_in(folder: Path) -> list[Clip]:
    """Clips of a folder, oldest first; nothing of it is broken or unfinished."""
    listing = listing_of(folder)
    assert listing.broken_count == 0
    assert list((folder / ".incomplete").iterdir()) == []
    names = {name for clip in listing.clips for name in (clip.file.name, *clip.record.files)}
    assert {path.name for path in folder.iterdir() if path.is_file()} == names
    return list(reversed(listing.clips))
