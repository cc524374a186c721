"""The form of a film: its picture's size and rate, and its sound's. Values alone, without FFmpeg."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.uint8]  # of a picture: Y (height, width), U or V (height / 2, width / 2)
FilmAudio = Literal["flac", "aac"]


@dataclass(frozen=True, slots=True)
class FilmFormat:
    """Pictures and sound of a film, as they are handed in."""

    width: int  # even
    height: int  # even
    frame_rate: int  # pictures a second, 15 to 60
    sample_rate: int  # Hz
    channels: int
