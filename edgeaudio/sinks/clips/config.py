"""Configuration of the clips."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from edgeaudio.media.writer import AudioFormat
from edgeaudio.types import Samples


class GrowingPicture(Protocol):
    """The picture of one clip: see clip_picture.py, which is loaded only where pictures are drawn."""

    suffix: str  # of its file, without the dot
    failure: str
    plot: tuple[float, float] | None

    def add_gap(self, position: int, lost_s: float) -> None: ...
    def add(self, position: int, samples: Samples) -> None: ...
    def encoded(self, label: str, onset: int, offset: int | None, begin: datetime) -> bytes: ...


@dataclass(frozen=True, slots=True)
class RetentionLimits:
    """What is kept."""

    max_age_s: float
    max_bytes: int  # of all clips, records included
    best_per_label: int | None  # clips of each label, by score; None: all
    min_free_bytes: int  # of the disk


@dataclass(frozen=True, slots=True)
class ClipsConfig:
    """Which clips are made, and where."""

    device: str
    folder: Path
    format: AudioFormat
    before_s: float  # of the onset
    after_s: float  # of the offset
    longest_s: float  # of a clip
    labels: frozenset[str]  # empty: all
    min_score: float
    never_with: Mapping[str, float]  # no clip holds a score of a label that is as high
    limits: RetentionLimits
    make_picture: Callable[[int], GrowingPicture] | None = None  # of a sample rate; None: clips have no pictures
