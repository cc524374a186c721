"""Configuration of the clips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeaudio.media.writer import AudioFormat


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
