"""Configuration of the live views."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LiveConfig:
    """What live views may have besides columns and scores."""

    audio: bool  # sound
    never_with: Mapping[str, float]  # no sound is sent in which a label has that score
